/* proc_limits.h - every bound of the process leaf, with its unit (docs/limits.md lists them). */
#pragma once

#define PROC_PROBE_MS 5000	   /* the probe child, from fork to its last answer */
#define PROC_PROBE_CONNECT_MS 1000 /* one attempt of the probe */
#define PROC_GRACE_MS 10000	   /* a forwarded terminating signal to SIGKILL */
#define PROC_KILL_PASSES_MAX 1000  /* stop-and-kill passes over the descendants */
#define PROC_KILL_PIDS_MAX 65536   /* descendants looked at in one pass */
#define PROC_COMMAND_WORDS_MAX 4096
#define PROC_ENV_MAX 1024 /* variables of the workload */
#define PROC_ENV_BYTES_MAX (256 * 1024)
#define PROC_WARNINGS_MAX 64 /* sentences reported at claim */
#define PROC_WARNING_BYTES 256
#define PROC_LISTEN_BACKLOG 1024 /* connections that wait while there is no network leaf */
#define PROC_ACCOUNT_BYTES_MAX (1024 * 1024) /* /etc/passwd, /etc/group */
#define PROC_ACCOUNT_LINE_MAX 8192	     /* bytes */
#define PROC_ACCOUNT_FIELD_MAX 1024	     /* bytes */
#define PROC_VETH_TRIES_MAX 16384	     /* /30 nets tried before giving up: all there are */
#define PROC_NFLOG_TURN_MAX 64		     /* logged packets taken per turn of the loop */
#define PROC_MONITOR_PENDING_MAX 32	     /* packets whose owner is being looked for */
#define PROC_MONITOR_RECENT_MAX 64	     /* packets remembered, to know a repetition */
#define PROC_MONITOR_REPEAT_MS 10000	     /* the same packet within is the same attempt */
#define PROC_MONITOR_ANSWER_MS 700	     /* the owner must be known by then */
#define PROC_MONITOR_FLUSH_MS 200      /* last reports, before the end of the workload is told */
#define PROC_HANGUP_MS 2000	       /* a job without its channel, from SIGHUP to SIGKILL */
#define PROC_SHELLS_MAX 96	       /* shell channels: ctl commands and SSH connections */
#define PROC_JOBS_MAX 256	       /* processes started beside the main one */
#define PROC_SHELL_JOBS_MAX 64	       /* of one shell channel */
#define PROC_SHELL_REPORTS_MAX 20      /* events that one shell channel may cause */
#define PROC_SHELL_VARS_MAX 64	       /* variables that a client may offer */
#define PROC_SHELL_VAR_NAME_MAX 64     /* bytes */
#define PROC_SHELL_VAR_VALUE_MAX 256   /* bytes */
#define PROC_SHELL_TERM_MAX 64	       /* bytes of TERM */
#define PROC_SHELL_MODES_MAX 128       /* terminal modes of a job */
#define PROC_SSH_CONNECTIONS_MAX 64    /* SSH connections at a time; more wait in the backlog */
#define PROC_SSH_WAITING_MAX 16	       /* connections until the host key is made */
#define PROC_ACCEPT_PAUSE_MS 100       /* after an accept(2) that failed */
#define PROC_SSH_REFUSED_MS 5000       /* between two reports of refused SSH peers */
#define PROC_SSH_END_MS 1000	       /* SSH clients learn of the main process' end */
#define PROC_CHOWN_ENTRIES_MAX 1000000 /* below /sandbox */

/* orch_limits.h - every bound of the orchestrator, with its unit (docs/limits.md lists them). */
#pragma once

/* command line */
#define ORCH_COMMAND_WORDS_MAX 4096  /* words of the command */
#define ORCH_COMMAND_BYTES_MAX 49152 /* bytes of the command; it travels in one packet */
#define ORCH_ENV_OPTIONS_MAX 64	     /* --env */
#define ORCH_ENV_BYTES_MAX 49152     /* bytes of the workload's inherited environment */
#define ORCH_ENV_VALUE_MAX 16384     /* bytes of one inherited value; longer ones are left out */
#define ORCH_SPEC_BYTES_MAX 65536    /* bytes of OPENSHELL_MAIN_PROCESS_SPEC */
#define ORCH_SPEC_DEPTH_MAX 16	     /* nesting of its JSON */
#define ORCH_TIMEOUT_S_MAX 31536000  /* seconds, one year */
#define ORCH_CHECK_FILES_MAX 1024    /* files of one "policy check" or "policy lint" */

/* host files */
#define ORCH_HOSTS_BYTES_MAX 1048576 /* bytes of /etc/hosts */
#define ORCH_RESOLV_BYTES_MAX 65536  /* bytes of /etc/resolv.conf */
#define ORCH_NAMESERVERS_MAX 8	/* further ones are ignored, as resolv.conf(5) ignores a fourth */
#define ORCH_WATCH_AFTER_MS 250 /* from the start to watching files for changes */
#define ORCH_WATCHED_MAX \
	48 /* files and folders watched by one orch_watch; credentials fill it last */

/* start, one deadline per step of the process leaf */
#define ORCH_ATTACH_MS 10000
#define ORCH_CLAIM_MS 30000 /* prepares directories, may change the owner of many files */
#define ORCH_BIND_MS 10000
#define ORCH_CONFIRM_MS 15000
#define ORCH_START_MS 10000
#define ORCH_RELEASE_MS 10000
#define ORCH_NETWORK_READY_MS \
	10000		     /* network leaf: from its start, or the entry point, to NET_READY */
#define ORCH_EVIDENCE_MAX 32 /* checks that one confirmation may report */

/* network leaf that dies */
#define ORCH_DEATHS_MAX 5 /* within the window: it stays down */
#define ORCH_DEATHS_WINDOW_MS 60000
#define ORCH_BACKOFF_FIRST_MS 10 /* pause before the second new leaf; the first starts at once */
#define ORCH_BACKOFF_MAX_MS 400

/* credentials */
#define ORCH_CREDENTIALS_READ_MS 30000	 /* all sources together */
#define ORCH_CREDENTIAL_COMMAND_MS 10000 /* one from_command */
#define ORCH_REACH_MAX 260 /* folders of the workload: those of a policy, and the workdir */
#define ORCH_CREDENTIALS_BYTES_MAX (512 * 1024)	  /* what the reader hands over */
#define ORCH_CREDENTIALS_PROBLEMS_MAX (64 * 1024) /* bytes of problems in it */

/* end */
#define ORCH_GRACE_MS 10000	  /* from a forwarded signal to SIGKILL */
#define ORCH_TIMEOUT_GRACE_MS 100 /* the same after --timeout */
#define ORCH_KILL_WAIT_MS 5000	  /* from SIGKILL to giving the process leaf up */
#define ORCH_STOP_MS 5000	  /* from PROC_STOP, NET_STOP to killing the leaf */
#define ORCH_DRAIN_MS 2000 /* writing what the workload left in its pipes to a slow terminal */
#define ORCH_SWEEP_MS 3000 /* killing what is left of the workload */
#define ORCH_JANITOR_ANSWER_MS 10000 /* the janitor starts the process leaf */
#define ORCH_JANITOR_LEAF_MS 3000    /* when we were killed: for the process leaf to tear down */
#define ORCH_JANITOR_SWEEP_MS 60000  /* afterwards: killing what is left of the workload */
#define ORCH_SWEEP_PIDS_MAX 65536    /* processes looked at in one pass */

/* streams */
#define ORCH_PIPE_BYTES 65536 /* buffer of one relayed direction */

/* main session */
#define ORCH_REPLAY_BYTES (1024 * 1024) /* output of the main process that is kept */
#define ORCH_CHUNK_MAX 4096		/* bytes of one chunk of it */
#define ORCH_INPUT_BYTES (64 * 4096)	/* input that the main process has not taken */
#define ORCH_LOCAL_BEHIND (64 * 1024)	/* output that the operator's own terminal has not taken */
#define ORCH_SESSION_CLIENTS_MAX 32	/* attached at a time */
#define ORCH_READERS_MS 2000		/* after the end: clients that still read */

/* control socket */
#define ORCH_CTL_CONNECTIONS_MAX 32 /* that have not been answered yet */
#define ORCH_CTL_HELLO_MS 5000	    /* from connect to the request */
#define ORCH_CTL_NAME_MAX 64	    /* bytes of --name */
#define ORCH_CTL_LOCK_MS 2000	    /* for the folder of sockets, shared with other sandboxes */
#define ORCH_CTL_SANDBOXES_MAX 256  /* sockets looked at when no name is given */
#define ORCH_CTL_ANSWER_MS 15000    /* of the orchestrator to ctl */
#define ORCH_CTL_DRAIN_MS 2000	    /* after a command's end: output that others still hold */
#define ORCH_ACCEPT_PAUSE_MS 100    /* after an accept(2) that failed */

/* events */
#define ORCH_REPEATS_MAX 64	   /* different denials remembered */
#define ORCH_REPEAT_WINDOW_MS 5000 /* equal denials within are counted, not shown */
#define ORCH_LINES_BURST 200	   /* lines shown at once */
#define ORCH_LINES_PER_S 50	   /* and then per second */
#define ORCH_RECORDS_BURST 20000   /* JSON records written at once */
#define ORCH_RECORDS_PER_S 5000	   /* and then per second */
#define ORCH_LOG_BYTES_MAX \
	(512 * 1024 * 1024) /* bytes of --log-file; beyond, records are counted only */

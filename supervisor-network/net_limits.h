/* net_limits.h - every bound of the network leaf, with its unit (docs/limits.md lists them). */
#pragma once

/* clients */
#define NET_CLIENTS_MAX 4096   /* connections of the workload at a time */
#define NET_ACCEPT_TURN_MAX 64 /* connections accepted per turn of the loop */
#define NET_ACCEPT_BACKOFF_MIN_MS 100
#define NET_ACCEPT_BACKOFF_MAX_MS 5000
#define NET_ACCEPT_UNKNOWN_MAX 5 /* unknown accept errors in a row before it stops */

/* HTTP */
#define NET_HEAD_MAX 8192	    /* bytes of a request head to the proxy (431 beyond) */
#define NET_TUNNEL_HEAD_MAX 16384   /* bytes of a request head inside a tunnel (431 beyond) */
#define NET_RESPONSE_HEAD_MAX 16384 /* bytes of a response head (502 beyond) */
#define NET_SENT_HEAD_MAX 32768	    /* bytes of a request head as it goes upstream */
#define NET_FIELDS_MAX 128	    /* header fields */
#define NET_PATH_MAX 4096	    /* bytes of a request path */
#define NET_CHUNK_LINE_MAX 1024	    /* bytes of a chunk-size line, extensions included */
#define NET_TRAILERS_MAX 8192	    /* bytes of trailers */
#define NET_BUFFER 16384	    /* bytes of one relay buffer */
#define NET_STRAIGHT 61440	 /* bytes of a body that move at once where nothing looks at them */
#define NET_INFORMATIONAL_MAX 16 /* 1xx responses before the final one */
#define NET_PIPELINE_TURN 16	 /* requests of one client answered per turn of the loop */
#define NET_DROP_TURN 64   /* relay buffers of a refused client dropped per turn of the loop */
#define NET_RELAY_TURNS 32 /* steps of one exchange per turn of the loop */
#define NET_CLIENT_BUFFER (NET_TUNNEL_HEAD_MAX + NET_BUFFER) /* bytes of a client not yet used */
#define NET_SPARE_BUFFERS_MAX 8 /* buffers of idle clients kept for the next one that wakes */

#define NET_BODIES_MAX 256 /* bodies read whole at a time, of all clients (503 beyond) */

/* time */
#define NET_HEADER_MS 15000    /* first byte of a head, or accept, to its end */
#define NET_PEEK_MS 15000      /* tunnel open to the bytes that say what it carries */
#define NET_PEEK_PART_MS 1000  /* the same once some are there, where nothing is inspected */
#define NET_BODY_MS 120000     /* a body that is read whole before its request goes on */
#define NET_TLS_MS 15000       /* one handshake */
#define NET_KEEPALIVE_MS 60000 /* idle between two requests */
#define NET_DIAL_MS 10000      /* all addresses of one destination */
#define NET_DIAL_ONE_MS 4000   /* one address before the next is tried */
#define NET_RESOLVE_MS 5000
#define NET_RESPONSE_MS 300000	    /* request sent to response head */
#define NET_EVENTS_IDLE_MS 86400000 /* a text/event-stream without a byte */
#define NET_IDLE_MS 600000	    /* tunnel, or body, without a byte */
#define NET_LINGER_MS 2000  /* closing after a refusal: what was sent is still read and dropped */
#define NET_PROBE_S 15	    /* a client's silence before it is asked whether it is there */
#define NET_PROBE_AGAIN_S 5 /* without an answer, once more after this ... */
#define NET_PROBES_MAX 3    /* ... and so often, before the connection is given up */
#define NET_TICK_MS 1000    /* deadlines are checked this often while there are clients */
#define NET_IDENTITY_FRESH_MS 1000 /* keep-alive requests reuse evidence that is no older */

/* names and addresses */
#define NET_ADDRESSES_MAX 32	    /* of one name */
#define NET_HOSTS_BYTES_MAX 1048576 /* /etc/hosts */
#define NET_NAMESERVERS_MAX 8
#define NET_QUERIES_MAX 1024 /* look-ups at a time */

/* tunnels */
#define NET_PIPES_MAX 256		  /* idle pipes kept for the next transfer */
#define NET_PIPE_BYTES (1024 * 1024)	  /* asked for; the kernel may give less */
#define NET_SPLICE_TURN (8 * 1024 * 1024) /* bytes of one direction per turn of the loop */

/* reports */
#define NET_EVENTS_PER_S 2000 /* further ones are counted, and the count reported */
#define NET_EVENTS_QUEUE_MAX \
	(256 * 1024) /* bytes on the control channel before events are dropped */

/* credentials */
#define NET_LOCKED_BYTES (64 * 1024 * 1024) /* RLIMIT_MEMLOCK asked for */
#define NET_INJECTED_BYTES (64 * 1024)	    /* all rewritten parts of one head */

/* net_credential_keys.h - where a request carries a key of the workload's own.
 *
 * For credentials with `require: true`: what the sandbox's key was not put into is
 * somebody else's.  Known by the names of fields and of query parameters, as
 * programs spell them: letters and digits alone are compared, without case, since
 * many servers take X_API_Key, X-API-Key and XApiKey for the same.  A key in a
 * path, a cookie or a body has no such name and is not seen.  Pure.
 */
#pragma once
#include <stdbool.h>
#include "net_http_head.h"

#define NET_KEY_NAME_MAX 64 /* letters and digits of a name that may be one of a key */

/* Is this the name of a field that carries a key? */
bool net_key_is_field(struct net_slice name);
/* Has the query, without "?" and before anything is replaced in it, a parameter that carries a key
 * and is neither empty nor a placeholder?  Names may be percent-encoded. */
bool net_key_in_query(struct net_slice query);

/* net_credentials.h - the leaf's store, shared by net_credential.c and net_credential_take.c. */
#pragma once
#include "net_credential.h"

struct net_credentials {
	struct credential_store *store;
	struct net_injected *idle; /* one is kept: making locked memory takes three system calls */
};

/* proc_bypass.h - the event that a refused packet becomes, with the sentence that helps its sender.
 *
 * Pure.  Names of programs are the workload's and are cut; whoever prints them
 * escapes them.
 */
#pragma once
#include "core_event.h"
#include "core_identity.h"
#include "proc_packet.h"

/* caller may have assurance none: the event then names the uid only.  uid: of the socket, or
 * UINT32_MAX. */
void proc_bypass_event(const struct proc_packet *p, const struct identity_caller *caller,
	uint32_t uid, struct event *ret);

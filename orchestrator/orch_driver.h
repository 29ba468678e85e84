/* orch_driver.h - the two words that compute drivers call instead of running a command.
 *
 * copy-self DEST: an image without a shell serves as an init container.  Copies
 * this executable to DEST (into it, under its own name, when DEST is a directory;
 * parents are made) with mode 0755, and its two leaves into the same directory,
 * where orch_spawn_find() looks for them.
 *
 * validate-workspace: handed on to the process leaf, which knows how.
 */
#pragma once

/* argv after the word; an exit status. */
int orch_driver_copy(int argc, char **argv);
/* argv from the word on, in the array that main() got; returns only on failure. */
int orch_driver_validate(char **argv);

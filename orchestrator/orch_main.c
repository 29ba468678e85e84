/* orch_main.c - openshell-supervisor: the operator's command.
 *
 * Runs as root; parses nothing but the command line, its environment and the
 * operator's files; owns every lifetime.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_log.h"
#include "orch_ctl.h"
#include "orch_driver.h"
#include "orch_options.h"
#include "orch_policy_cmd.h"
#include "orch_run.h"

static const char *get_env(const char *name)
{
	return getenv(name);
}

static int run(int argc, char **argv)
{
	static const char version[] = "openshell-supervisor " OPENSHELL_VERSION "\n";
	struct orch_options o = { 0 };
	enum orch_action action;
	struct err e = { 0 };
	int status;

	if (orch_options_parse(&o, argc, argv, get_env, &action, &e) < 0) {
		(void) log_fatal(&e);
		orch_options_done(&o);
		return e.code == EINVAL ? 2 : 1;
	}
	log_set_level(o.log_level);
	if (action == ORCH_HELP)
		orch_options_help(STDOUT_FILENO);
	if (action == ORCH_VERSION)
		(void) fd_write_all(STDOUT_FILENO, version, sizeof version - 1, &e);
	status = action == ORCH_RUN ? orch_run(&o) : 0;
	orch_options_done(&o);
	return status;
}

int main(int argc, char **argv)
{
	log_open("openshell-supervisor");
	if (argc > 1 && strcmp(argv[1], "policy") == 0)
		return orch_policy_command(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "copy-self") == 0)
		return orch_driver_copy(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "validate-workspace") == 0)
		return orch_driver_validate(argv + 1);
	if (argc > 1 && strcmp(argv[1], "ctl") == 0)
		return orch_ctl_command(argc - 2, argv + 2);
	return run(argc, argv);
}

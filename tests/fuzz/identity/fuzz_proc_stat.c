/* fuzz_proc_stat.c - /proc/PID/stat, whose second field a process chooses itself. */
#include <stdint.h>
#include "core_procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct procfs_stat s;

	(void) procfs_stat_parse((const char *) data, len, &s);
	return 0;
}

/* fuzz_replay.c - run a fuzz target once over every file of its corpus folders.
 *
 * An absent or empty folder is a failure: a target without corpus tests nothing.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *bytes;
	size_t len;

	if (!f || fstat(fileno(f), &st) < 0) {
		perror(path);
		return 1;
	}
	bytes = malloc((size_t) st.st_size + 1);
	if (!bytes)
		abort();
	len = fread(bytes, 1, (size_t) st.st_size, f);
	(void) fclose(f);
	(void) LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	return 0;
}

int main(int argc, char **argv)
{
	int bad = 0, n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		struct dirent *entry;

		if (!d) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(d))) {
			char path[PATH_MAX];

			if (entry->d_name[0] == '.')
				continue;
			(void) snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			bad |= replay(path);
			n++;
		}
		(void) closedir(d);
	}
	printf("%d inputs\n", n);
	return bad || n == 0;
}

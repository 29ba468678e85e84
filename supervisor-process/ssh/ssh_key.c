#include "ssh_key.h"
#include <errno.h>
#include <libssh/libssh.h>
#include <string.h>
#include "core_fd.h"
#include "core_secret.h"

int ssh_key_make(int fd, struct err *e)
{
	ssh_key key = NULL;
	char *text = NULL;
	int r = 0;

	if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK)
		return err_set(e, EIO, "make an SSH host key");
	if (ssh_pki_export_privkey_base64(key, NULL, NULL, NULL, &text) != SSH_OK)
		r = err_set(e, EIO, "write an SSH host key");
	else
		r = fd_write_all(fd, text, strlen(text), e);
	if (text)
		secret_wipe(text, strlen(text));
	ssh_string_free_char(text);
	ssh_key_free(key);
	return r;
}

/* AES-GCM of libipsec-mb (Debian), for whole messages. */
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>
#include "tls_gcm.h"

#define KEY_ALIGN 64 /* bytes; its vector loads want it */

static IMB_MGR *manager;

static bool make_manager(void)
{
	IMB_ARCH arch;

	if (manager)
		return true;
	manager = alloc_mb_mgr(0);
	if (!manager)
		return false;
	init_mb_mgr_auto(manager, &arch);
	if (arch != IMB_ARCH_NONE && arch != IMB_ARCH_NOAESNI && imb_get_errno(manager) == 0)
		return true;
	free_mb_mgr(manager);
	manager = NULL;
	return false;
}

static void *key_new(const unsigned char *key, unsigned bits)
{
	struct gcm_key_data *k;

	if (!make_manager())
		return NULL;
	k = aligned_alloc(KEY_ALIGN, (sizeof *k + KEY_ALIGN - 1) & ~(size_t) (KEY_ALIGN - 1));
	if (!k)
		return NULL;
	if (bits == 128)
		IMB_AES128_GCM_PRE(manager, key, k);
	else if (bits == 192)
		IMB_AES192_GCM_PRE(manager, key, k);
	else
		IMB_AES256_GCM_PRE(manager, key, k);
	return k;
}

static void key_free(void *key)
{
	explicit_bzero(key, sizeof(struct gcm_key_data));
	free(key);
}

static void encrypt(void *key, unsigned bits, const struct tls_gcm_message *m)
{
	struct gcm_context_data c;

	if (bits == 128)
		IMB_AES128_GCM_ENC(manager, key, &c, m->out, m->in, m->len, m->nonce, m->ad,
			m->ad_len, m->tag, m->tag_len);
	else if (bits == 192)
		IMB_AES192_GCM_ENC(manager, key, &c, m->out, m->in, m->len, m->nonce, m->ad,
			m->ad_len, m->tag, m->tag_len);
	else
		IMB_AES256_GCM_ENC(manager, key, &c, m->out, m->in, m->len, m->nonce, m->ad,
			m->ad_len, m->tag, m->tag_len);
}

static void decrypt(void *key, unsigned bits, const struct tls_gcm_message *m)
{
	struct gcm_context_data c;

	if (bits == 128)
		IMB_AES128_GCM_DEC(manager, key, &c, m->out, m->in, m->len, m->nonce, m->ad,
			m->ad_len, m->tag, m->tag_len);
	else if (bits == 192)
		IMB_AES192_GCM_DEC(manager, key, &c, m->out, m->in, m->len, m->nonce, m->ad,
			m->ad_len, m->tag, m->tag_len);
	else
		IMB_AES256_GCM_DEC(manager, key, &c, m->out, m->in, m->len, m->nonce, m->ad,
			m->ad_len, m->tag, m->tag_len);
}

static const struct tls_gcm_ops ops = { key_new, key_free, encrypt, decrypt };

/* Without AES-NI it would emulate it; mbedTLS's own code is faster then. */
const struct tls_gcm_ops *tls_gcm_ipsec(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") ? &ops : NULL;
}

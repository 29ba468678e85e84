/* Builds mbedTLS's ecdsa.c so that signing multiplies through tls_ec.c; verification is that file's
 * altogether (MBEDTLS_ECDSA_VERIFY_ALT). */
#include <common.h>
#include "tls_ec.h"

#define mbedtls_ecp_mul_restartable tls_ec_mul
/* NOLINTNEXTLINE(bugprone-suspicious-include): the whole point of this file */
#include <ecdsa.c>

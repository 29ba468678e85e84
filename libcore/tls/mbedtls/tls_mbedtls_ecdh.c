/* Builds mbedTLS's ecdh.c so that key agreement multiplies through tls_ec.c. */
#include <common.h>
#include "tls_ec.h"

#define mbedtls_ecp_mul_restartable tls_ec_mul
/* NOLINTNEXTLINE(bugprone-suspicious-include): the whole point of this file */
#include <ecdh.c>

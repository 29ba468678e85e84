/* config.h - what libssh is built with here, which its own build would have found out.  Only its
 * files include it.  Left out on purpose: GSSAPI, compression, sftp and pcap, programs that it would
 * start, the ciphers "none" and Blowfish. */
#pragma once
#define PACKAGE "libssh"
#define VERSION "bundled"
/* It is told not to read any (SSH_BIND_OPTIONS_PROCESS_CONFIG); these are nowhere all the same. */
#define SYSCONFDIR "/nonexistent"
#define BINARYDIR "/nonexistent"
#define SOURCEDIR "/nonexistent"
#define USR_GLOBAL_CONF_DIR "/nonexistent"
#define GLOBAL_CONF_DIR "/nonexistent"
#define GLOBAL_BIND_CONFIG "/nonexistent/server"
#define USR_GLOBAL_BIND_CONFIG "/nonexistent/server"
#define GLOBAL_CLIENT_CONFIG "/nonexistent/client"
#define USR_GLOBAL_CLIENT_CONFIG "/nonexistent/client"

#define HAVE_ARPA_INET_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_TERMIOS_H 1
#define HAVE_UNISTD_H 1
#define HAVE_STDINT_H 1
#define HAVE_PTHREAD_H 1
#define HAVE_IFADDRS_H 1
#define HAVE_OPENSSL_AES_H 1
#define HAVE_OPENSSL_DES_H 1
#define HAVE_OPENSSL_ECDH_H 1
#define HAVE_OPENSSL_EC_H 1
#define HAVE_OPENSSL_ECDSA_H 1
#define HAVE_OPENSSL_ECC 1
#define HAVE_ECC 1
#define HAVE_OPENSSL_EVP_CHACHA20 1
#define HAVE_OPENSSL_EVP_KDF_CTX 1
#define HAVE_SNPRINTF 1
#define HAVE_VSNPRINTF 1
#define HAVE_ISBLANK 1
#define HAVE_STRNCPY 1
#define HAVE_STRNDUP 1
#define HAVE_CFMAKERAW 1
#define HAVE_GETADDRINFO 1
#define HAVE_POLL 1
#define HAVE_SELECT 1
#define HAVE_CLOCK_GETTIME 1
#define HAVE_STRTOULL 1
#define HAVE_EXPLICIT_BZERO 1
#define HAVE_LIBCRYPTO 1
#define HAVE_PTHREAD 1
#define HAVE_GCC_THREAD_LOCAL_STORAGE 1
#define HAVE_FALLTHROUGH_ATTRIBUTE 1
#define HAVE_UNUSED_ATTRIBUTE 1
#define HAVE_WEAK_ATTRIBUTE 1
#define HAVE_CONSTRUCTOR_ATTRIBUTE 1
#define HAVE_DESTRUCTOR_ATTRIBUTE 1
#define HAVE_GCC_VOLATILE_MEMORY_PROTECTION 1
#define HAVE_COMPILER__FUNC__ 1
#define HAVE_COMPILER__FUNCTION__ 1
#define WITH_SERVER 1
#define WITH_GEX 1
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WORDS_BIGENDIAN 1
#endif

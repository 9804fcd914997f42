// HMAC with SHA-256, a comparison that takes as long whatever differs, and a way to forget. None needs sodium_init().
#include <sodium/crypto_auth_hmacsha256.h>
#include <sodium/crypto_verify_32.h>
#include <sodium/utils.h>

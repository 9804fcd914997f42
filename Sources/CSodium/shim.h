// HMAC with SHA-256, and a comparison that takes as long whatever differs. Neither needs sodium_init().
#include <sodium/crypto_auth_hmacsha256.h>
#include <sodium/crypto_verify_32.h>

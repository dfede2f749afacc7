// tls_block.cpp - 64 bytes of static TLS; load_late.cpp loads many copies of it.
// SPDX-License-Identifier: BSL-1.0
static thread_local char block[64] __attribute__((tls_model("initial-exec")));

extern "C" __attribute__((visibility("default"))) int touch_block() {
    return ++block[0];
}

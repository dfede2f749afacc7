// memory_limit.hpp - while one exists, the program cannot get much more memory: whoever believes a length in damaged bytes
// meets std::bad_alloc.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdio>

#include <sys/resource.h>
#include <unistd.h>

#include "support/sanitizers.hpp"

namespace cairn_test {

/// Does nothing under sanitizers, which map memory of their own as they please.
class memory_limit {
public:
    explicit memory_limit(std::size_t more_bytes = std::size_t{32} << 20U) {
        if (has_address_sanitizer || has_thread_sanitizer || ::getrlimit(RLIMIT_AS, &before_) != 0) return;
        rlimit less = before_;
        const rlim_t wanted = mapped_bytes() + more_bytes;
        if (wanted < less.rlim_cur) less.rlim_cur = wanted;
        is_set_ = ::setrlimit(RLIMIT_AS, &less) == 0;
    }
    memory_limit(const memory_limit&) = delete;
    memory_limit& operator=(const memory_limit&) = delete;
    ~memory_limit() {
        if (is_set_) ::setrlimit(RLIMIT_AS, &before_);
    }

private:
    static rlim_t mapped_bytes() {
        unsigned long pages = 0;
        if (std::FILE* file = std::fopen("/proc/self/statm", "r"); file != nullptr) {
            if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
            std::fclose(file);
        }
        return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    }

    rlimit before_{};
    bool is_set_ = false;
};

}  // namespace cairn_test

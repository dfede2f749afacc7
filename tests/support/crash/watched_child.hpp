// watched_child.hpp - work that may crash or hang, done in a forked child that tells lines.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>

#include <sys/mman.h>

namespace cairn_test {

/// An object that forked children share with their parent.
template <typename T>
class shared_object {
public:
    shared_object() {
        void* at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) throw std::runtime_error("no shared memory for a test");
        object_ = new (at) T;
    }
    shared_object(const shared_object&) = delete;
    shared_object& operator=(const shared_object&) = delete;
    ~shared_object() { ::munmap(object_, sizeof(T)); }

    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }

private:
    T* object_;
};

/// Called in the child with one line, which reaches the parent.
using line_writer = std::function<void(const std::string&)>;

/// Runs `work` in a child until it ends. Empty when it ended well; else "was killed by signal 11", "hung". It hangs when
/// `progress` stands still for long.
std::string watch_child(const std::function<void(const line_writer&)>& work,
                        const std::function<void(const std::string&)>& on_line,
                        const std::atomic<std::uint64_t>& progress);

/// As many children as there are processors, at most two, share numbers 0 .. count - 1 among themselves; each calls
/// work(number, tell) for its own. `on_end(number, how)` tells of a child that died in one.
void share_among_children(std::size_t count, const std::function<void(std::size_t, const line_writer&)>& work,
                          const std::function<void(const std::string&)>& on_line,
                          const std::function<void(std::size_t, const std::string&)>& on_death);

}  // namespace cairn_test

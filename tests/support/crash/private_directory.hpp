// private_directory.hpp - a directory for named segments that nobody else sees.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "support/crash/image.hpp"

namespace cairn_test {

/// A new directory in /dev/shm; it and all that is in it are removed with this object, by the process that made it.
class private_directory {
public:
    private_directory();
    private_directory(const private_directory&) = delete;
    private_directory& operator=(const private_directory&) = delete;
    ~private_directory();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::vector<std::string> entries() const;
    void clear() const;

    /// From here on this process looks for segments here.
    void use() const;

private:
    std::string path_;
    pid_t owner_;
};

/// What somebody else sees of a named segment: whether the name is there, and the bytes behind it.
struct named_image {
    bool exists = false;
    segment_image bytes;

    [[nodiscard]] std::uint64_t id() const;
    /// Puts it into the directory, under that name.
    void restore(const private_directory& to, const std::string& name) const;
};

/// Looks at a name again and again.
class name_watch {
public:
    explicit name_watch(std::string path) : path_(std::move(path)) {}
    name_watch(const name_watch&) = delete;
    name_watch& operator=(const name_watch&) = delete;
    ~name_watch();

    /// True when it is another image than the last time (the first time: always).
    bool look();
    [[nodiscard]] named_image seen() const;

private:
    void map_again();
    void unmap() noexcept;

    std::string path_;
    bool first_ = true;
    bool exists_ = false;
    ino_t inode_ = 0;
    std::byte* base_ = nullptr;
    std::uint64_t bytes_ = 0;
    segment_image known_;
};

}  // namespace cairn_test

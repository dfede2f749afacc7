// SPDX-License-Identifier: BSL-1.0
#include "os/mapping.hpp"

#include <cerrno>

#include <sys/mman.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/interprocess_fwd.hpp>

#include "os/fault.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older headers lack it
#endif

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

// What mapped_region wants of a mappable thing: our descriptor, lent.
class lent_descriptor {
public:
    explicit lent_descriptor(int fd) noexcept : fd_(fd) {}
    [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const noexcept {
        return {fd_, false};
    }

private:
    int fd_;
};

boost::interprocess::mode_t mode_of(map_access access) {
    switch (access) {
        case map_access::read_only: return boost::interprocess::read_only;
        case map_access::private_copy: return boost::interprocess::copy_on_write;
        case map_access::read_write: break;
    }
    return boost::interprocess::read_write;
}

// What the kernel maps at one read fault, if the pages are there: in Linux 64 KiB, at such a multiple.
constexpr std::uintptr_t fault_around_bytes = 65536;

}  // namespace

std::error_code mapping::create(int fd, std::uint64_t bytes, map_access access, mapping& out) {
    if (const int error = injected_fault("mmap"); error != 0) return {error, std::generic_category()};
    try {
        out.region_ = boost::interprocess::mapped_region(
            lent_descriptor(fd), mode_of(access), 0, static_cast<std::size_t>(bytes), nullptr, MAP_NORESERVE);
    } catch (const boost::interprocess::interprocess_exception& e) {
        const int error = static_cast<int>(e.get_native_error());
        return {error != 0 ? error : EINVAL, std::generic_category()};
    }
    // Only advice: where the kernel does not know it, dumps are larger and locks of the dumped are released later.
    ::madvise(out.base(), static_cast<std::size_t>(bytes), MADV_DONTDUMP);
    return {};
}

std::error_code mapping::cover(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    if (const int error = injected_fault("mmap"); error != 0) return {error, std::generic_category()};
    void* const at = base() + offset;
    const int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (::mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED) return {};
    return {errno, std::generic_category()};
}

std::error_code mapping::populate(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    if (const int error = injected_fault("madvise"); error != 0) return {error, std::generic_category()};
    // The system's page may be larger than ours.
    const auto system_page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t from = offset / system_page * system_page;
    while (::madvise(base() + from, static_cast<std::size_t>(offset + bytes - from), MADV_POPULATE_WRITE) !=
           0) {
        if (errno != EINTR) return {errno == EFAULT ? ENOSPC : errno, std::generic_category()};
    }
    return {};
}

void map_ahead(const std::byte* begin, std::uint64_t bytes) noexcept {
    const std::uintptr_t before = reinterpret_cast<std::uintptr_t>(begin) % fault_around_bytes;
    for (std::uint64_t at = 0; at < bytes; at += fault_around_bytes - (before + at) % fault_around_bytes)
        static_cast<void>(*static_cast<const volatile std::byte*>(begin + at));
}

std::error_code map_wiped_on_fork(std::uint64_t*& word) {
    const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* page = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return {errno, std::generic_category()};
    ::madvise(page, bytes, MADV_WIPEONFORK);
    word = static_cast<std::uint64_t*>(page);
    return {};
}

}  // namespace cairn::inline CAIRN_ABI::detail::os

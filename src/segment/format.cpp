// SPDX-License-Identifier: BSL-1.0
#include "segment/format.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/hash.hpp"
#include "os/identity.hpp"
#include "os/memory_limit.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t data_alignment = 65536;  // the largest page of the systems we run on
constexpr std::uint64_t default_most_bytes = 64ULL << 30;
// 42 pages of objects: what a small program needs without growing. Each page is 1.8 us when it is made and dropped.
constexpr std::uint64_t default_initial_bytes = 256ULL << 10;
constexpr std::uint64_t least_pages = 16;

std::uint64_t checksum_of(const segment_header& header) noexcept {
    return hash_bytes(&header, offsetof(segment_header, checksum), segment_magic);
}

std::uint64_t system_memory_bytes() noexcept {
    struct sysinfo info = {};
    if (::sysinfo(&info) != 0) return default_most_bytes;
    return static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
}

std::uint64_t limit_of(decltype(RLIMIT_AS) resource) noexcept {
    rlimit limit = {};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return std::numeric_limits<std::uint64_t>::max();
    return limit.rlim_cur;
}

std::uint32_t effective_participants(const segment_options& options) {
    if (options.max_participants == 0) return participant_slot_count;
    if (options.max_participants <= most_participant_slots) return options.max_participants;
    throw invalid_argument("create segment: max_participants is " + std::to_string(options.max_participants) +
                           ", expected 1 to " + std::to_string(most_participant_slots));
}

// The smallest max_size that has room for the fixed parts and a few pages.
std::uint64_t least_max_bytes(std::uint32_t participants) noexcept {
    return round_up(page_bytes + sizeof(segment_control), page_bytes) +
           participants * sizeof(participant_slot) + page_bytes + data_alignment + least_pages * page_bytes;
}

std::string boot_id_text(std::error_code reason) {
    const char* hint =
        reason.value() == EMFILE ? " (each segment of a process takes one: raise `ulimit -n`)" : "";
    return "/proc/sys/kernel/random/boot_id cannot be read: " + reason.message() + hint +
           "; nobody could tell whether the segment was made since this system was started";
}

}  // namespace

std::uint64_t abi_fingerprint() noexcept {
    const std::uint64_t facts[] = {
        sizeof(void*),
        std::endian::native == std::endian::little ? 1U : 2U,
        sizeof(stored_mutex),
        static_cast<std::uint64_t>(robust_futex_offset),
        page_bytes,
        sizeof(root_slot),
        sizeof(segment_control),
    };
    return hash_bytes(facts, sizeof facts, 0);
}

std::uint64_t effective_max_bytes(const segment_options& options) {
    std::uint64_t bytes = options.max_size;
    const std::uint64_t least = least_max_bytes(effective_participants(options));
    if (bytes == 0) {
        bytes = std::min({system_memory_bytes(), os::control_group_memory(), default_most_bytes,
                          limit_of(RLIMIT_AS) / 4, limit_of(RLIMIT_FSIZE)});
        // Down: behind the last whole page of a file of that size the system refuses more.
        bytes = std::max(bytes / page_bytes * page_bytes, least);
    }
    if (bytes < least || bytes > max_segment_bytes) {
        throw invalid_argument("create segment: max_size is " + std::to_string(bytes) + " bytes, expected " +
                               std::to_string(least) + " to " + std::to_string(max_segment_bytes));
    }
    if (options.initial_size > bytes) {
        throw invalid_argument("create segment: initial_size is " + std::to_string(options.initial_size) +
                               " bytes, expected at most max_size, " + std::to_string(bytes));
    }
    return round_up(bytes, page_bytes);
}

std::array<std::uint64_t, 2> require_boot_id(const std::string& what) {
    std::array<std::uint64_t, 2> id{};
    if (const auto reason = os::boot_id(id)) throw system_failure(what + ": " + boot_id_text(reason), reason);
    return id;
}

segment_header make_header(std::string_view name, const segment_options& options, bool remove_when_unused) {
    const std::uint64_t max_bytes = effective_max_bytes(options);
    segment_header header;
    std::memset(&header, 0, sizeof header);
    header.magic = segment_magic;
    header.format = segment_format;
    header.header_bytes = sizeof header;
    header.abi = abi_fingerprint();
    header.control_offset = page_bytes;
    header.participant_count = effective_participants(options);
    header.bucket_count = name_bucket_count;
    header.participants_offset = round_up(header.control_offset + sizeof(segment_control), page_bytes);
    header.buckets_offset = header.participants_offset + header.participant_count * sizeof(participant_slot);
    header.map_offset =
        round_up(header.buckets_offset + header.bucket_count * sizeof(std::uint32_t), page_bytes);
    const std::uint64_t rest = max_bytes - header.map_offset - data_alignment;
    header.page_limit = static_cast<std::uint32_t>(rest / (page_bytes + sizeof(page_entry)));
    header.data_offset = round_up(header.map_offset + header.page_limit * sizeof(page_entry), data_alignment);
    header.max_bytes = header.data_offset + header.page_limit * page_bytes;
    header.persist = options.persist ? 1 : 0;
    header.remove_when_unused = remove_when_unused ? 1 : 0;
    header.hash_algorithm = hash_algorithm_xxh3;
    const std::array<std::uint64_t, 2> boot = require_boot_id("create segment '" + std::string(name) + "'");
    header.boot_id[0] = boot[0];
    header.boot_id[1] = boot[1];
    header.pid_namespace = os::pid_namespace();
    header.time_namespace = os::time_namespace();
    header.created_nanoseconds = os::now_since_epoch_nanoseconds();
    header.creator_pid = static_cast<std::uint32_t>(::getpid());
    header.name_bytes = static_cast<std::uint32_t>(name.size());
    std::memcpy(header.name, name.data(), std::min(name.size(), sizeof header.name));
    // Against names chosen to collide; mixed from what an outsider does not see beforehand.
    const std::uint64_t seeds[] = {static_cast<std::uint64_t>(header.created_nanoseconds), boot[0],
                                   static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&header))};
    header.hash_seed = hash_bytes(seeds, sizeof seeds, header.creator_pid);
    header.checksum = checksum_of(header);
    return header;
}

std::uint32_t initial_pages(const segment_header& header, const segment_options& options) {
    std::uint64_t bytes = options.initial_size != 0 ? options.initial_size : default_initial_bytes;
    const std::uint64_t fixed = header.map_offset;
    const std::uint64_t pages = bytes > fixed ? (bytes - fixed) / (page_bytes + sizeof(page_entry)) : 0;
    return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
        pages, std::min<std::uint64_t>(least_pages, header.page_limit), header.page_limit));
}

void check_file(const os::file_facts& facts, const std::string& what, const open_options& options) {
    if (!facts.is_regular) throw corrupt_segment("open " + what + ": not a regular file, so no segment");
    // Who may write it is the owner's business, if the owner is us or the one that the caller trusts; nobody else's file
    // is opened, so that a name that somebody squats on leads nowhere.
    const uid_t self = ::geteuid();
    if (facts.owner == self || facts.owner == options.owner) return;
    std::string expected = std::to_string(self);
    if (options.owner && *options.owner != self) expected += " or " + std::to_string(*options.owner);
    throw permission_denied(
        "open " + what + ": belongs to user " + std::to_string(facts.owner) + ", expected " + expected +
        "; if that is right, say so with open_options{.owner = " + std::to_string(facts.owner) + "}");
}

void check_header(const segment_header& header, const std::string& what, std::uint64_t file_bytes,
                  header_use use) {
    const std::string open = "open " + what + ": ";
    const std::string remedy = "; remove it with `shmctl rm` if nobody needs it";
    if (header.magic != segment_magic)
        throw corrupt_segment(open + "not a segment of Cairn (wrong magic)" + remedy);
    if (header.format != segment_format) {
        throw version_mismatch(open + "format " + std::to_string(header.format) + ", this library reads " +
                               std::to_string(segment_format) + "; use the library that made it" + remedy);
    }
    if (header.header_bytes != sizeof header || header.checksum != checksum_of(header))
        throw corrupt_segment(open + "damaged: the checksum of its header is wrong" + remedy);
    if (header.abi != abi_fingerprint()) {
        throw version_mismatch(open + "made by a program for another system or C library (ABI " +
                               std::to_string(header.abi) + ", expected " +
                               std::to_string(abi_fingerprint()) + ")" + remedy);
    }
    // The checksum says that a Cairn wrote it; the rest says that it makes sense, whoever wrote it.
    const bool sane =
        header.control_offset == page_bytes &&
        header.participants_offset == round_up(header.control_offset + sizeof(segment_control), page_bytes) &&
        header.participant_count != 0 && header.participant_count <= most_participant_slots &&
        header.bucket_count == name_bucket_count &&
        header.buckets_offset ==
            header.participants_offset + header.participant_count * sizeof(participant_slot) &&
        header.map_offset ==
            round_up(header.buckets_offset + name_bucket_count * sizeof(std::uint32_t), page_bytes) &&
        header.page_limit != 0 && header.page_limit <= 1U << max_order &&
        header.data_offset ==
            round_up(header.map_offset + header.page_limit * sizeof(page_entry), data_alignment) &&
        header.max_bytes == header.data_offset + header.page_limit * page_bytes &&
        header.name_bytes <= max_segment_name_bytes && header.hash_algorithm == hash_algorithm_xxh3;
    if (!sane) throw corrupt_segment(open + "damaged: its header makes no sense" + remedy);
    if (file_bytes < header.map_offset) {
        throw corrupt_segment(open + "truncated: the file has " + std::to_string(file_bytes) +
                              " bytes, expected at least " + std::to_string(header.map_offset) + remedy);
    }
    if (use == header_use::inspect) return;
    std::array<std::uint64_t, 2> boot{};
    // refused rather than system_failure: `shmctl rm -f` removes what is.
    if (const auto reason = os::boot_id(boot)) throw refused(open + boot_id_text(reason), reason);
    if (header.boot_id[0] != boot[0] || header.boot_id[1] != boot[1])
        throw refused(open + "made before this system was started, so its processes are gone" + remedy);
    if (header.pid_namespace != os::pid_namespace()) {
        throw refused(open + "refused: made in another pid namespace (" +
                      std::to_string(header.pid_namespace) + ", this is " +
                      std::to_string(os::pid_namespace()) +
                      "): the kernel would take locks away from living owners; run both in one namespace "
                      "(containers: --pid=container:...), or open it read-only");
    }
    if (header.time_namespace != os::time_namespace()) {
        throw refused(
            open + "refused: made in another time namespace (" + std::to_string(header.time_namespace) +
            ", this is " + std::to_string(os::time_namespace()) +
            "): the start times of processes, by which the living are told from the dead, are others there; "
            "run both in one namespace, or open it read-only");
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail

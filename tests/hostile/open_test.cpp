// open_test.cpp - files that are no segment, no segment of ours, or no whole one: each is a clear error, and stays as it is.
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "base/hash.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/segment/segment_layout.hpp>

namespace open_test {

using namespace cairn_test;
using namespace cairn::literals;
using namespace cairn::detail;

namespace {

constexpr cairn::segment_options kept = {.max_size = 4_MiB, .initial_size = 512_KiB, .persist = true};
constexpr uid_t other_user = 12345;

// The file behind a name, to be damaged; closed and removed with the name.
class segment_file {
public:
    segment_file() {
        {
            const auto m = cairn::manager::create(name_, kept);
            m.list<long>("l", {1, 2, 3});
        }
        open();
    }
    explicit segment_file(std::string_view contents) {
        const int made = ::open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        REQUIRE(made >= 0);
        ::close(made);
        open();
        write(0, contents.data(), contents.size());
    }
    segment_file(const segment_file&) = delete;
    segment_file& operator=(const segment_file&) = delete;
    ~segment_file() { ::close(fd_); }

    [[nodiscard]] const scratch_name& name() const { return name_; }
    [[nodiscard]] std::string path() const { return name_.path(); }
    [[nodiscard]] std::uint64_t bytes() const {
        struct stat status = {};
        REQUIRE(::fstat(fd_, &status) == 0);
        return static_cast<std::uint64_t>(status.st_size);
    }
    void write(std::uint64_t offset, const void* from, std::size_t count) const {
        REQUIRE(::pwrite(fd_, from, count, static_cast<off_t>(offset)) == static_cast<ssize_t>(count));
    }
    template <typename T>
    void put(std::uint64_t offset, T value) const {
        write(offset, &value, sizeof value);
    }
    void resize(std::uint64_t bytes) const { REQUIRE(::ftruncate(fd_, static_cast<off_t>(bytes)) == 0); }
    [[nodiscard]] segment_header header() const {
        segment_header h;
        REQUIRE(::pread(fd_, &h, sizeof h, 0) == static_cast<ssize_t>(sizeof h));
        return h;
    }
    // With a checksum that is right: an attacker can compute it, too.
    void put_header(segment_header h) const {
        h.checksum = hash_bytes(&h, offsetof(segment_header, checksum), segment_magic);
        put(0, h);
    }

private:
    void open() {
        fd_ = ::open(path().c_str(), O_RDWR | O_CLOEXEC);
        REQUIRE(fd_ >= 0);
    }

    scratch_name name_;
    int fd_ = -1;
};

constexpr std::uint64_t committed_at = page_bytes + offsetof(segment_control, committed_bytes);

// Every way in gives this error, whose text names the segment and has `words`; nothing is left open or taken away.
template <typename Error>
void check_refused(const scratch_name& name, std::string_view words,
                   const cairn::open_options& options = {}) {
    const footprint before = take_footprint();
    cairn::open_options read_only = options;
    read_only.mode = cairn::open_mode::read_only;
    for (const std::string& text : {thrown_by<Error>([&] { cairn::manager::open(name, options); }),
                                    thrown_by<Error>([&] { cairn::manager::open(name, read_only); }),
                                    thrown_by<Error>([&] { cairn::manager::create(name, kept); }),
                                    thrown_by<Error>([&] { cairn::manager::open_or_create(name, kept); })}) {
        INFO(text);
        CHECK(contains(text, "segment '" + name.get() + "'"));
        CHECK(contains(text, words));
    }
    CHECK(name.exists());
    CHECK(take_footprint() == before);
}

bool may_be_others() {
    if (::geteuid() == 0) return true;
    MESSAGE("skipped: only root can give files to others");
    return false;
}

}  // namespace

TEST_CASE("an empty file and one of a few bytes are no segments") {
    for (const std::string& contents : {std::string(), std::string("x"), std::string(100, 'x')}) {
        const segment_file file(contents);
        check_refused<cairn::corrupt_segment>(file.name(), std::to_string(contents.size()) + " bytes");
        check_refused<cairn::corrupt_segment>(file.name(), "shmctl rm");
    }
}

TEST_CASE("a file of zeros, of text or of noise is no segment") {
    std::string noise(200'000, '\0');
    check_refused<cairn::corrupt_segment>(segment_file(noise).name(), "magic");
    std::uint64_t state = 1;
    for (char& c : noise)
        c = static_cast<char>((state = state * 6364136223846793005U + 1442695040888963407U) >> 56);
    check_refused<cairn::corrupt_segment>(segment_file(noise).name(), "magic");
    check_refused<cairn::corrupt_segment>(segment_file(std::string(5000, 'a')).name(), "magic");
}

TEST_CASE("a segment of another format is a version_mismatch that names both formats") {
    const segment_file file;
    file.put<std::uint32_t>(offsetof(segment_header, format),
                            7);  // checked before the checksum, which may be elsewhere
    check_refused<cairn::version_mismatch>(file.name(),
                                           "format 7, this library reads " + std::to_string(segment_format));
}

TEST_CASE("any byte of the header that has changed is noticed") {
    const segment_file file;
    const segment_header whole = file.header();
    for (std::size_t at = 0; at < sizeof whole; ++at) {
        if (at >= offsetof(segment_header, format) && at < offsetof(segment_header, header_bytes)) continue;
        const auto byte = reinterpret_cast<const unsigned char*>(&whole)[at];
        file.put<unsigned char>(at, byte ^ 0x10);
        INFO("byte ", at);
        CHECK_THROWS_AS(cairn::manager::open(file.name()), cairn::corrupt_segment);
        CHECK_THROWS_AS(cairn::manager::open(file.name(), cairn::open_mode::read_only),
                        cairn::corrupt_segment);
        file.put<unsigned char>(at, byte);
    }
    CHECK(cairn::manager::open(file.name()).list<long>("l").size() == 3);
}

TEST_CASE("a header with a right checksum that makes no sense is refused") {
    const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
    const std::vector<std::pair<const char*, std::function<void(segment_header&)>>> lies = {
        {"header_bytes", [](segment_header& h) { h.header_bytes = 0; }},
        {"control_offset", [](segment_header& h) { h.control_offset = 0; }},
        {"control_offset", [](segment_header& h) { h.control_offset += 8; }},
        {"control_offset", [&](segment_header& h) { h.control_offset = huge; }},
        {"participants_offset", [](segment_header& h) { h.participants_offset += page_bytes; }},
        {"participants_offset", [&](segment_header& h) { h.participants_offset = huge; }},
        {"buckets_offset", [](segment_header& h) { h.buckets_offset = 0; }},
        {"map_offset", [](segment_header& h) { h.map_offset -= page_bytes; }},
        {"map_offset", [&](segment_header& h) { h.map_offset = huge - 4095; }},
        {"data_offset", [](segment_header& h) { h.data_offset += page_bytes; }},
        {"data_offset", [](segment_header& h) { h.data_offset = 0; }},
        {"page_limit", [](segment_header& h) { h.page_limit = 0; }},
        {"page_limit", [](segment_header& h) { ++h.page_limit; }},
        {"page_limit", [](segment_header& h) { h.page_limit = 0xffffffff; }},
        {"page_limit, max_bytes and data_offset wrap around",
         [](segment_header& h) {
             h.page_limit = 0x80000000;
             h.data_offset = h.map_offset + h.page_limit * sizeof(page_entry);
             h.max_bytes = h.data_offset + h.page_limit * page_bytes;
         }},
        {"max_bytes", [](segment_header& h) { h.max_bytes += page_bytes; }},
        {"max_bytes", [](segment_header& h) { h.max_bytes = 0; }},
        {"max_bytes", [&](segment_header& h) { h.max_bytes = huge; }},
        {"participant_count", [](segment_header& h) { h.participant_count = 0; }},
        {"participant_count", [](segment_header& h) { h.participant_count = 1 << 20; }},
        {"bucket_count", [](segment_header& h) { h.bucket_count = 0; }},
        {"bucket_count", [](segment_header& h) { h.bucket_count = 0xffffffff; }},
        {"hash_algorithm", [](segment_header& h) { h.hash_algorithm = 2; }},
        {"name_bytes", [](segment_header& h) { h.name_bytes = 201; }},
        {"name_bytes", [](segment_header& h) { h.name_bytes = 0xffffffff; }},
    };
    for (const auto& [field, lie] : lies) {
        const segment_file file;
        segment_header h = file.header();
        lie(h);
        file.put_header(h);
        INFO(field);
        check_refused<cairn::corrupt_segment>(file.name(), "damaged");
    }
}

TEST_CASE("a segment of another system or C library is a version_mismatch") {
    const segment_file file;
    segment_header h = file.header();
    h.abi ^= 1;
    file.put_header(h);
    check_refused<cairn::version_mismatch>(file.name(), "C library");
}

TEST_CASE("a segment of another boot or pid namespace is refused for writing and can be read") {
    for (const bool another_boot : {true, false}) {
        const segment_file file;
        segment_header h = file.header();
        if (another_boot) h.boot_id[1] ^= 1;
        else h.pid_namespace ^= 1;
        file.put_header(h);
        const char* words = another_boot ? "before this system was started" : "pid namespace";
        for (const std::string& text :
             {thrown_by<cairn::refused>([&] { cairn::manager::open(file.name()); }),
              thrown_by<cairn::refused>([&] { cairn::manager::create(file.name(), kept); }),
              thrown_by<cairn::refused>([&] { cairn::manager::open_or_create(file.name(), kept); })}) {
            CHECK(contains(text, "segment '" + file.name().get() + "'"));
            CHECK(contains(text, words));
        }
        const auto reader = cairn::manager::open(file.name(), cairn::open_mode::read_only);
        CHECK(reader.list<long>("l") == std::vector<long>{1, 2, 3});
    }
}

TEST_CASE("a truncated file is a corrupt_segment that says how much there is and how much there should be") {
    const segment_file file;
    const std::uint64_t whole = file.bytes();
    const segment_header h = file.header();
    for (const std::uint64_t bytes : {whole - 1, whole - page_bytes, h.data_offset, h.map_offset}) {
        file.resize(bytes);
        INFO(bytes, " of ", whole);
        check_refused<cairn::corrupt_segment>(file.name(),
                                              "truncated: the file has " + std::to_string(bytes));
        check_refused<cairn::corrupt_segment>(file.name(), std::to_string(whole));
    }
    file.resize(h.map_offset - 1);
    check_refused<cairn::corrupt_segment>(file.name(), "truncated");
    file.resize(sizeof h);
    check_refused<cairn::corrupt_segment>(file.name(), "truncated");
}

TEST_CASE("a limit of the backed part that makes no sense is refused, also in a file that is large enough") {
    const segment_file file;
    const segment_header h = file.header();
    const std::uint64_t whole = file.bytes();
    file.resize(h.max_bytes + 64 * page_bytes);
    for (const std::uint64_t committed :
         {std::uint64_t{0}, h.data_offset - page_bytes, whole + 1, whole + 8, h.max_bytes + page_bytes,
          std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 4095}) {
        file.put(committed_at, committed);
        INFO(committed);
        check_refused<cairn::corrupt_segment>(file.name(), "");
    }
    file.put(committed_at, whole);
    CHECK(cairn::manager::open(file.name()).list<long>("l").size() == 3);
}

TEST_CASE("what stands under the name but is no regular file is refused without waiting for anybody") {
    const auto check = [](const scratch_name& name) {
        check_refused<cairn::corrupt_segment>(name, "not a regular file");
    };
    SUBCASE("a FIFO") {
        const scratch_name name;
        REQUIRE(::mkfifo(name.path().c_str(), 0600) == 0);
        check(name);
    }
    SUBCASE("a link to a good segment") {
        const segment_file file;
        const scratch_name name;
        REQUIRE(::symlink(file.path().c_str(), name.path().c_str()) == 0);
        check(name);
    }
    SUBCASE("a link that leads nowhere") {
        const scratch_name name;
        REQUIRE(::symlink("/nowhere", name.path().c_str()) == 0);
        check(name);
    }
    SUBCASE("a directory") {
        const scratch_name name;
        REQUIRE(::mkdir(name.path().c_str(), 0700) == 0);
        check(name);
        ::rmdir(name.path().c_str());
    }
    SUBCASE("a socket") {
        const scratch_name name;
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        REQUIRE(name.path().size() < sizeof address.sun_path);
        std::memcpy(address.sun_path, name.path().c_str(), name.path().size());
        const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        check(name);
        ::close(s);
    }
    SUBCASE("a device") {
        const scratch_name name;
        if (::mknod(name.path().c_str(), S_IFCHR | 0600, ::makedev(1, 5)) != 0) {
            MESSAGE("skipped: no devices for this user");
            return;
        }
        // Where the file system has no devices (nodev), the system says so.
        CHECK_THROWS_AS(cairn::manager::open(name), cairn::error);
        CHECK_THROWS_AS(cairn::manager::create(name, kept), cairn::error);
        CHECK_THROWS_AS(cairn::manager::open(name, cairn::open_mode::read_only), cairn::error);
        CHECK(name.exists());
    }
}

// ---- other users -------------------------------------------------------------------------------------------------------

TEST_CASE("a segment of another user is permission_denied, which says whose it is and what to do") {
    if (!may_be_others()) return;
    const segment_file file;
    for (const mode_t mode : {0600U, 0660U, 0606U, 0666U}) {
        REQUIRE(::chmod(file.path().c_str(), mode) == 0);
        REQUIRE(::chown(file.path().c_str(), other_user, other_user) == 0);
        check_refused<cairn::permission_denied>(file.name(), "belongs to user 12345");
        check_refused<cairn::permission_denied>(file.name(), "open_options{.owner = 12345}");
        // A third one is as wrong as none.
        const std::string text = thrown_by<cairn::permission_denied>(
            [&] { cairn::manager::open(file.name(), {.owner = other_user + 1}); });
        CHECK(contains(text, "belongs to user 12345, expected 0 or 12346"));
        // Named: accepted, whoever else may write it.
        const auto m = cairn::manager::open(file.name(), {.owner = other_user});
        CHECK(m.list<long>("l") == std::vector<long>{1, 2, 3});
        REQUIRE(::chown(file.path().c_str(), 0, 0) == 0);
    }
}

TEST_CASE("one's own segment is opened whoever may write it, and whomever .owner names") {
    const segment_file file;
    REQUIRE(::chmod(file.path().c_str(), 0666) == 0);
    CHECK(cairn::manager::open(file.name()).contains("l"));
    CHECK(cairn::manager::open(file.name(), {.owner = other_user}).contains("l"));
    CHECK(cairn::manager::open(file.name(), {.owner = ::geteuid()}).contains("l"));
}

TEST_CASE("a segment that the system keeps from us is permission_denied with the system's words") {
    if (!may_be_others()) return;
    const segment_file file;
    CHECK(in_child([&] {
              CHILD_CHECK(::setresgid(other_user, other_user, other_user) == 0);
              CHILD_CHECK(::setresuid(other_user, other_user, other_user) == 0);
              for (const bool reads : {false, true}) {
                  const auto mode = reads ? cairn::open_mode::read_only : cairn::open_mode::read_write;
                  const std::string text = thrown_by<cairn::permission_denied>(
                      [&] { cairn::manager::open(file.name(), {.mode = mode, .owner = 0}); });
                  CHILD_CHECK(contains(text, file.name().get()));
                  CHILD_CHECK(contains(text, "Permission denied"));
              }
          }) == 0);
}

TEST_CASE("users who trust each other share a segment by mode and .owner") {
    if (!may_be_others()) return;
    const scratch_name name;
    const auto m = cairn::manager::create(name, {.max_size = 4_MiB, .mode = 0666});
    const auto l = m.list<long>("l", {1});
    CHECK(in_child([&] {
              CHILD_CHECK(::setresgid(other_user, other_user, other_user) == 0);
              CHILD_CHECK(::setresuid(other_user, other_user, other_user) == 0);
              CHILD_CHECK(!thrown_by<cairn::permission_denied>([&] {
                               // Not the one that this process has inherited: another mapping, for reading.
                               cairn::manager::open(name, cairn::open_mode::read_only);
                           }).empty());
              const auto same = cairn::manager::open(name, {.owner = 0});
              same.list<long>("l").push_back(2);
          }) == 0);
    CHECK(l == std::vector<long>{1, 2});
}

TEST_CASE("a process that has given up its privileges creates segments of its new user") {
    if (!may_be_others()) return;
    const scratch_name name;
    CHECK(in_child([&] {
              CHILD_CHECK(::setresgid(other_user, other_user, other_user) == 0);
              CHILD_CHECK(::setresuid(other_user, other_user, other_user) == 0);
              const auto m = cairn::manager::create(name, kept);
              m.list<long>("l").push_back(1);
          }) == 0);
    struct stat status = {};
    REQUIRE(::stat(name.path().c_str(), &status) == 0);
    CHECK(status.st_uid == other_user);
    CHECK(cairn::manager::open(name, {.owner = other_user}).list<long>("l").size() == 1);
}

}  // namespace open_test

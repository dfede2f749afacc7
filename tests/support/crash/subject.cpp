// SPDX-License-Identifier: BSL-1.0
#include "support/crash/subject.hpp"

#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "inspect/verify.hpp"
#include "os/file.hpp"
#include "segment/lifecycle.hpp"
#include "support/crash/segment_audit.hpp"
#include "support/crash/write_trap.hpp"

namespace cairn_test {

namespace os = cairn::detail::os;
using cairn::detail::segment;
using cairn::detail::segment_ptr;

namespace {

segment_ptr attach_to(os::unique_fd file) {
    segment_ptr attached = cairn::detail::attach(std::move(file), "", {});
    if (!attached) throw lab_failure("the image is of a retired segment");
    return attached;
}

void require_sound(const segment& s, const char* when) {
    if (const std::string problem = audit_segment(s); !problem.empty())
        throw lab_failure(std::string(when) + ": " + problem);
}

}  // namespace

const char* name_of(outcome o) noexcept {
    switch (o) {
        case outcome::before: return "before";
        case outcome::after: return "after";
        case outcome::unchanged: return "unchanged";
    }
    return "?";
}

const char* name_of(approach a) noexcept {
    switch (a) {
        case approach::writer_first: return "a writer came first";
        case approach::manager_first: return "the manager came first";
        case approach::reader_first: return "a reader came first";
    }
    return "?";
}

os::unique_fd make_segment_file(const segment_image& image) {
    os::unique_fd file;
    if (const auto reason = os::create_anonymous("crash-image", file); reason)
        throw std::runtime_error("no file for an image: " + reason.message());
    if (const auto reason = os::set_size(file, image.max_bytes()); reason)
        throw std::runtime_error("no room for an image: " + reason.message());
    for (const byte_range& range : image.backed()) {
        const std::uint64_t bytes = range.end - range.begin;
        if (::pwrite(file.get(), image.base() + range.begin, bytes, static_cast<off_t>(range.begin)) !=
            static_cast<ssize_t>(bytes))
            throw std::runtime_error("an image cannot be written");
    }
    return file;
}

survivor::survivor(const experiment& what, const segment_image& healthy) {
    os::unique_fd file = make_segment_file(healthy);
    file_ = os::unique_fd(::dup(file.get()));
    segment_ = attach_to(std::move(file));
    visitor_ = what.visit(cairn::manager(segment_));
    own_slot_ = *segment_->internals().participant;
}

survivor::~survivor() = default;

void survivor::restore(const segment_image& image) {
    std::byte* base = in().base();
    const std::uint64_t used = in().committed_bytes();
    const auto ranges = image.backed();
    // What was grown into is given back, so that the next growth finds zeros, as in a file that never grew.
    if (used > ranges[1].end) os::punch(file_.get(), ranges[1].end, used - ranges[1].end);
    for (const byte_range& range : ranges)
        std::memcpy(base + range.begin, image.base() + range.begin, range.end - range.begin);
    *in().internals().participant = own_slot_;
}

segment_image survivor::look_at_bytes() const {
    return segment_image(segment_->base());
}

outcome judge(visitor& by, const segment& s, std::optional<outcome> seen) {
    const outcome result = by.look();
    if (seen && *seen != result) {
        throw lab_failure(std::string("a reader without the lock saw '") + name_of(*seen) +
                          "', and afterwards it was '" + name_of(result) + "'");
    }
    judge_rest(by, s);
    return result;
}

void judge_rest(visitor& by, const segment& s) {
    require_sound(s, "after the recovery");
    by.go_on();
    require_sound(s, "after going on");
    by.remove_all();
    require_sound(s, "after removing everything");
    if (const std::uint32_t left = count_pages(s).of_objects(); left != 0)
        throw lab_failure("leaked: " + std::to_string(left) +
                          " pages belong to nobody after everything was removed");
}

outcome recover_and_judge(visitor& by, const segment& s, approach how) {
    const std::optional<outcome> seen = by.touch(how);
    return judge(by, s, seen);
}

outcome judge_as_newcomer(const experiment& what, const segment_image& image, approach how) {
    const segment_ptr attached = attach_to(make_segment_file(image));
    const std::unique_ptr<visitor> by = what.visit(cairn::manager(attached));
    const std::optional<outcome> seen = by->touch(how);
    // The other opinion, which `shmctl verify` gives. Here alone: it decodes everything.
    if (const auto problems = cairn::detail::verify_segment(*attached); !problems.empty())
        throw lab_failure("verify_segment: " + problems.front());
    return judge(*by, *attached, seen);
}

void play(const experiment& what, stage& shared) {
    const segment_ptr made = cairn::detail::create_anonymous("crash-subject", what.options);
    const cairn::manager m(made);
    what.prepare(m);
    const std::unique_ptr<visitor> self = what.visit(m);
    shared.descriptor = made->internals().descriptor.get();
    shared.thread = static_cast<std::uint32_t>(::gettid());
    shared.mark();
    if (shared.stop_store != 0) {
        stop_at_store(made->base(), made->header().max_bytes, shared.stop_store, shared.stop_instructions,
                      [&] { self->operate(); });
    } else {
        self->operate();
    }
    shared.acknowledge();
    shared.mark();
}

}  // namespace cairn_test

// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/segment/segment.hpp"

#include <cstring>
#include <memory>
#include <system_error>

#include "segment/backing.hpp"
#include "segment/farewell.hpp"
#include "segment/internals.hpp"
#include "segment/registry.hpp"
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

segment::segment() : internals_(new segment_internals) {}

segment::~segment() {
    const std::unique_ptr<segment_internals> ended(internals_);
    // The program may have closed it, and have opened something else under its number.
    os::unique_fd& own = internals_->descriptor;
    if (!own.valid()) return;
    os::file_facts facts;
    const std::error_code reason = os::describe(own.get(), facts);
    if (reason ? reason == std::errc::bad_file_descriptor : !facts.same_file(internals_->file)) own.release();
}

bool segment::try_add_reference() noexcept {
    std::uint64_t count = load_word(references_);
    while (count != 0) {
        // acquire: pairs with the release in drop_reference(); relaxed on failure: tried again
        if (__atomic_compare_exchange_n(&references_, &count, count + 1, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

void segment::drop_reference() noexcept {
    // acq_rel: the last owner sees everything the others did before they let go
    if (__atomic_fetch_sub(&references_, 1, __ATOMIC_ACQ_REL) != 1) return;
    if (is_raw_child()) {
        // It takes itself for its parent, whose participant and name these are, and whose threads may hold the registry's lock. What
        // it was refused goes.
        if (internals_->participant.load() == nullptr) delete this;
        return;
    }
    registry::remove(*this);
    end_mapping(this);
}

segment* segment_access::make() {
    return new segment;
}

void segment_access::drop(segment* s) noexcept {
    delete s;
}

void segment_access::set_mapping(segment& s, os::mapping map, bool writable) {
    s.internals_->map = std::move(map);
    borrow_memory(s, s.internals_->map.base());
    s.writable_ = writable;
}

void segment_access::borrow_memory(segment& s, std::byte* base) {
    s.base_ = base;
    std::memcpy(&s.header_, base, sizeof s.header_);
    const segment_header& header = s.header_;
    s.control_ = reinterpret_cast<segment_control*>(s.base_ + header.control_offset);
    s.map_ = reinterpret_cast<page_entry*>(s.base_ + header.map_offset);
    s.data_offset_ = header.data_offset;
}

void segment_access::set_name(segment& s, std::string name, bool anonymous) {
    s.name_ = std::move(name);
    s.anonymous_ = anonymous;
}

void segment_access::set_participant(segment& s, std::uint64_t number) noexcept {
    store_word(s.own_participant_, make_thread_token(number, 0));
}

void segment_access::forbid_writing(segment& s, const char* why) noexcept {
    s.writable_ = false;
    s.internals_->refusal = why;
}

std::uint64_t segment_access::reference_count(const segment& s) noexcept {
    return load_word(s.references_);
}

void throw_not_writable(const segment& s, const std::string& operation) {
    if (const char* why = s.internals().refusal.load())
        throw refused(operation + ": refused in this forked process, which may only read: " + why);
    throw permission_denied(operation +
                            ": the segment is open for reading only; open it with open_mode::read_write");
}

std::string describe_segment(const segment& s) {
    return (s.is_anonymous() ? "anonymous segment '" : "segment '") + s.name() + "'";
}

std::string describe_object(const segment& in, const root_slot& slot) {
    // Often without a lock, while the slot may be getting its next object.
    char name[sizeof slot.name];
    copy_out(name, slot.name, sizeof name);
    std::size_t bytes = load_word(slot.name_bytes);
    if (bytes > max_object_name_bytes) bytes = 0;
    const auto kind = load_word(slot.part_of) != 0 ? object_kind::sharded_dict
                                                   : static_cast<object_kind>(load_word(slot.kind));
    return std::string(kind_name(kind)) + " '" + std::string(name, bytes) + "' in " + describe_segment(in);
}

const char* kind_name(object_kind kind) noexcept {
    switch (kind) {
        case object_kind::none: return "object";
        case object_kind::list: return "list";
        case object_kind::dict: return "dict";
        case object_kind::set: return "set";
        case object_kind::queue: return "queue";
        case object_kind::lifo_queue: return "lifo_queue";
        case object_kind::priority_queue: return "priority_queue";
        case object_kind::channel: return "channel";
        case object_kind::pool: return "pool";
        case object_kind::service_set: return "service_set";
        case object_kind::value: return "value";
        case object_kind::array: return "array";
        case object_kind::name_space: return "ns";
        case object_kind::mutex: return "lock";
        case object_kind::recursive_mutex: return "rlock";
        case object_kind::semaphore: return "semaphore";
        case object_kind::condition: return "condition";
        case object_kind::event: return "event";
        case object_kind::barrier: return "barrier";
        case object_kind::record: return "object";
        case object_kind::sharded_dict: return "sharded_dict";
        case object_kind::bounded_semaphore: return "bounded_semaphore";
        case object_kind::latch: return "latch";
        case object_kind::once: return "once";
        case object_kind::shared_mutex: return "shared_mutex";
    }
    return "object";
}

}  // namespace cairn::inline CAIRN_ABI::detail

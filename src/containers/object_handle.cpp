// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/object_handle.hpp"

#include <algorithm>

#include "segment/internals.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

std::string object_handle::name() const {
    char bytes[sizeof slot_->name];
    std::size_t count = 0;
    read_root(*segment_, *slot_, generation_, [&](segment& s) {
        const root_slot& seen = *s.at<root_slot>(segment_->offset_of(slot_));
        count = std::min<std::size_t>(load_word(seen.name_bytes), sizeof bytes);
        copy_out(bytes, seen.name, sizeof bytes);
        return read_result::done;
    });
    return {bytes, count};
}

void object_handle::throw_index(const char* operation, std::uint64_t index, std::uint64_t size) const {
    throw index_error(std::string(operation) + " " + describe_object(*segment_, *slot_) + ": index " +
                      std::to_string(index) + ", size " + std::to_string(size));
}

void object_handle::throw_key(const char* operation, const std::string& key) const {
    throw key_error(std::string(operation) + " " + describe_object(*segment_, *slot_) + ": " + key);
}

void object_handle::throw_argument(const char* operation, const std::string& what) const {
    throw invalid_argument(std::string(operation) + " " + describe_object(*segment_, *slot_) + ": " + what);
}

void object_handle::throw_read_only() const {
    throw_not_writable(*segment_, "change " + describe_object(*segment_, *slot_));
}

}  // namespace cairn::inline CAIRN_ABI::detail

// contents.cpp - elements, copied out of an image and decoded by the name of their type.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstring>

#include "inspect/channels.hpp"
#include "inspect/decode.hpp"
#include "inspect/keyed.hpp"
#include "inspect/parts.hpp"
#include "inspect/queued.hpp"
#include "inspect/roots.hpp"
#include "inspect/state.hpp"
#include "inspect/synchronisation.hpp"
#include "inspect/values.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;
using namespace detail::inspecting;

namespace detail::inspecting {

list_node* node_in(image& in, const root_slot& slot) {
    return node_in(in, slot.node);
}

list_node* node_in(image& in, segment_offset offset) {
    if (offset < in.header().data_offset || offset % 8 != 0) return nullptr;
    auto* node = in.find<list_node>(offset);
    if (node == nullptr) return nullptr;
    const bool is_blob = node->form == element_form::blob;
    if (!is_blob && node->form != element_form::in_place) return nullptr;
    if (node->stride == 0 || node->stride > base_chunk_bytes * 2 || node->stride != stride_for(node->stride))
        return nullptr;
    if (is_blob && node->stride != sizeof(blob_slot)) return nullptr;
    return node->size <= in.limit() / node->stride ? node : nullptr;
}

}  // namespace detail::inspecting

namespace {

// The chunk that element `index` lies in, whole, or null where its links lead nowhere.
const std::byte* chunk_of(image& in, const list_node& node, const list_geometry& g,
                          const list_geometry::position& at) {
    std::uint64_t link = 0;
    if (at.superblock < inline_superblocks) {
        link = node.chunks[at.superblock];
    } else {
        if (at.superblock - inline_superblocks >= directory_entries) return nullptr;
        const auto* directory =
            in.find<std::uint64_t>(node.directory, directory_entries * sizeof(std::uint64_t));
        if (directory == nullptr || node.directory < in.header().data_offset) return nullptr;
        link = directory[at.superblock - inline_superblocks];
    }
    if (g.has_table(at.superblock)) {
        const auto* entry = in.find<std::uint64_t>(link + at.chunk * sizeof(std::uint64_t));
        if (entry == nullptr || link < in.header().data_offset || link > in.limit()) return nullptr;
        link = *entry;
    }
    if (link < in.header().data_offset || link % 8 != 0) return nullptr;
    // Only what is needed is read; the rest of the chunk is bounds-checked all the same.
    if (g.chunk_bytes(at.superblock) > in.limit() || link > in.limit() - g.chunk_bytes(at.superblock))
        return nullptr;
    return in.find<std::byte>(link + at.within * g.stride, g.stride) == nullptr ? nullptr
                                                                                : in.find<std::byte>(link, 0);
}

}  // namespace

struct contents_access {
    static void clear(object_contents& to) {
        to.count_ = 0;
        to.data_.clear();
        to.ends_.clear();
        to.missing_.clear();
        to.keys_.reset();
    }

    // A lock and the like: its state as the only element.
    static void set_state(plain_state state, std::uint64_t first, std::uint64_t count, object_contents& to) {
        to.type = state.type;
        to.decoder_ = std::make_shared<const element_type>(to.type);
        to.size = 1;
        to.first = std::min<std::uint64_t>(first, 1);
        to.count_ = std::min(count, 1 - to.first);
        to.stride_ = state.bytes.size();
        if (to.count_ != 0) to.data_ = std::move(state.bytes);
    }

    static void copy_keyed(image& in, const root_slot& slot, const dict_node& node, std::uint64_t first,
                           std::uint64_t count, object_contents& to) {
        const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
        const bool has_values = node.shape.value_form != dict_value_form::none;
        const auto [key_type, value_type] = split_types(to.type);
        object_contents* keys = &to;
        if (has_values) {
            to.keys_ = std::make_shared<object_contents>();
            keys = to.keys_.get();
            to.decoder_ = std::make_shared<const element_type>(value_type);
            keys->kind = to.kind;
            keys->type = key_type;
        }
        keys->decoder_ = std::make_shared<const element_type>(key_type);
        for (object_contents* each : {&to, keys}) {
            each->size = node.size;
            each->first = std::min(first, node.size);
            each->count_ = 0;
        }
        if (!s) return;
        std::uint64_t bytes_left = 2 * in.limit();  // padding and all; blobs do not overlap
        const std::uint64_t most = std::min(count, node.size - to.first);
        walk_records(*s, node, to.first, most, [&](const std::byte* record) {
            const bool has_key = record != nullptr && append_key(*s, node.shape, record, bytes_left, *keys);
            finish_element(*keys, has_key);
            if (!has_values) return;
            const bool has_value = record != nullptr && append_field(*s, node.shape, record, find_value_bytes,
                                                                     to.decoder_->bytes, bytes_left, to);
            finish_element(to, has_value);
        });
    }

    static void copy_queue(image& in, const root_slot& slot, const queue_node& node, std::uint64_t first,
                           std::uint64_t count, object_contents& to) {
        const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
        to.decoder_ = std::make_shared<const element_type>(to.type);
        to.size = queued_count(node);
        to.first = std::min(first, to.size);
        if (!s) return;
        std::uint64_t bytes_left = 2 * in.limit();  // padding and all; blobs do not overlap
        walk_items(*s, node, to.first, count, [&](const std::byte* item) {
            blob_slot blob{};
            std::uint64_t bytes = 0;
            const std::byte* from =
                item == nullptr ? nullptr : find_item_bytes(*s, node, item, to.decoder_->bytes, blob, bytes);
            const bool is_there = from != nullptr && bytes <= bytes_left;
            if (is_there) {
                bytes_left -= bytes;
                to.data_.insert(to.data_.end(), from, from + bytes);
            }
            finish_element(to, is_there);
        });
    }

    /// False where its node makes no sense.
    static bool copy_channel(image& in, const root_slot& slot, std::uint64_t first, std::uint64_t count,
                             object_contents& to) {
        const segment_ptr s = in.load_root(slot) ? in.view() : segment_ptr();
        const channel_node* node = s ? channel_node_in(*s, slot) : nullptr;
        to.decoder_ = std::make_shared<const element_type>(channel_item_type(to.type));
        if (node == nullptr) return false;
        const std::vector<std::uint64_t> words = stored_items(*s, *node);
        // Each has a word at least, whatever a damaged count says.
        to.size = std::min<std::uint64_t>(count_items(*s, *node), words.size());
        to.first = std::min(first, to.size);
        std::size_t at = 0;
        for (std::uint64_t i = 0; i < to.size && i - std::min(i, to.first) < count; ++i) {
            const std::span<const std::byte> bytes = next_item(node->item_bytes, words, at);
            if (i < to.first) continue;
            to.data_.insert(to.data_.end(), bytes.begin(), bytes.end());
            finish_element(to, bytes.data() != nullptr);
        }
        return true;
    }

    static void mark_missing(object_contents& to, std::uint64_t index) {
        to.missing_.resize(static_cast<std::size_t>(to.count_));
        to.missing_[static_cast<std::size_t>(index)] = true;
    }

    static void copy_list(image& in, const list_node& node, std::uint64_t first, std::uint64_t count,
                          object_contents& to) {
        to.decoder_ = std::make_shared<const element_type>(to.type);
        const element_type& type = *to.decoder_;
        const list_geometry g(node.stride);
        const bool is_blob = node.form == element_form::blob;
        to.size = node.size;
        to.first = std::min(first, node.size);
        to.count_ = std::min(count, node.size - to.first);
        to.stride_ = is_blob ? 0 : type.bytes != 0 && type.bytes <= g.stride ? type.bytes : g.stride;
        to.data_.reserve(static_cast<std::size_t>(is_blob ? 0 : to.count_ * to.stride_));
        std::uint64_t blob_bytes_left =
            in.limit();  // blobs do not overlap: more than there is cannot be true
        for (std::uint64_t i = 0; i < to.count_;) {
            const list_geometry::position at = g.locate(to.first + i);
            const std::uint64_t here = std::min(to.count_ - i, g.chunk_elements(at.superblock) - at.within);
            const std::byte* chunk = chunk_of(in, node, g, at);
            const std::byte* from = chunk == nullptr ? nullptr : chunk + at.within * g.stride;
            if (from != nullptr && in.find<std::byte>(offset_in(in, from), here * g.stride) == nullptr)
                from = nullptr;
            if (from != nullptr && !is_blob && to.stride_ == g.stride) {
                to.data_.insert(to.data_.end(), from, from + here * g.stride);
                i += here;
                continue;
            }
            for (std::uint64_t k = 0; k < here; ++k) {
                const std::byte* element = from == nullptr ? nullptr : from + k * g.stride;
                bool is_there = element != nullptr;
                if (is_blob) is_there = is_there && append_blob(in, element, blob_bytes_left, to);
                else if (is_there) to.data_.insert(to.data_.end(), element, element + to.stride_);
                else to.data_.resize(to.data_.size() + static_cast<std::size_t>(to.stride_));
                if (is_blob) to.ends_.push_back(to.data_.size());
                if (!is_there) mark_missing(to, i + k);
            }
            i += here;
        }
    }

    static void copy_array(image& in, const array_node& node, std::uint64_t first, std::uint64_t count,
                           object_contents& to) {
        to.decoder_ = std::make_shared<const element_type>(to.type);
        const std::uint64_t bytes = to.decoder_->bytes;
        to.size = node.size;
        to.first = std::min(first, node.size);
        to.count_ = std::min(count, node.size - to.first);
        to.stride_ = bytes != 0 && bytes <= node.stride ? bytes : node.stride;
        to.data_.reserve(static_cast<std::size_t>(to.count_ * to.stride_));
        for (std::uint64_t i = 0; i < to.count_; ++i) {
            const auto* from = in.find<std::byte>(node.elements + (to.first + i) * node.stride, node.stride);
            if (from != nullptr) to.data_.insert(to.data_.end(), from, from + to.stride_);
            else to.data_.resize(to.data_.size() + static_cast<std::size_t>(to.stride_));
            if (from == nullptr) mark_missing(to, i);
        }
    }

    /// What another root has, behind it. Of records only: their bytes have ends. One that could not be read has none,
    /// and no decoder.
    static void append(object_contents& to, object_contents part) {
        to.size += part.size;
        if (to.decoder_ == nullptr) to.decoder_ = part.decoder_;
        const std::uint64_t begin = to.data_.size();
        to.data_.insert(to.data_.end(), part.data_.begin(), part.data_.end());
        for (const std::uint64_t end : part.ends_) to.ends_.push_back(begin + end);
        to.missing_.resize(static_cast<std::size_t>(to.count_));
        to.missing_.insert(to.missing_.end(), part.missing_.begin(), part.missing_.end());
        to.count_ += part.count_;
        if (part.keys_ == nullptr) return;
        if (to.keys_ == nullptr) {
            to.keys_ = std::make_shared<object_contents>();
            to.keys_->kind = to.kind;
            to.keys_->type = part.keys_->type;
        }
        append(*to.keys_, std::move(*part.keys_));
    }

private:
    static void finish_element(object_contents& to, bool is_there) {
        to.ends_.push_back(to.data_.size());
        ++to.count_;
        if (!is_there) mark_missing(to, to.count_ - 1);
    }

    static bool append_key(const segment& s, dict_shape shape, const std::byte* record,
                           std::uint64_t& bytes_left, object_contents& to) {
        const std::uint64_t bytes = to.decoder_->bytes;
        if (shape.key_form != dict_key_form::word)
            return append_field(s, shape, record, find_key_bytes, bytes, bytes_left, to);
        const std::byte* word = record + shape.key_at();
        to.data_.insert(to.data_.end(), word, word + std::min<std::uint64_t>(bytes == 0 ? 8 : bytes, 8));
        return true;
    }

    template <typename Find>
    static bool append_field(const segment& s, dict_shape shape, const std::byte* record, Find find,
                             std::uint64_t type_bytes, std::uint64_t& bytes_left, object_contents& to) {
        blob_slot slot{};
        std::uint64_t bytes = 0;
        const std::byte* from = find(s, shape, record, slot, bytes);
        if (from == nullptr || bytes > bytes_left || (type_bytes != 0 && type_bytes > bytes)) return false;
        bytes_left -= bytes;
        to.data_.insert(to.data_.end(), from, from + bytes);
        return true;
    }

    static std::uint64_t offset_in(image& in, const std::byte* at) {
        return static_cast<std::uint64_t>(at - in.find<std::byte>(0, 0));
    }

    static bool append_blob(image& in, const std::byte* element, std::uint64_t& bytes_left,
                            object_contents& to) {
        blob_slot slot{};
        std::memcpy(&slot, element, sizeof slot);
        const std::uint64_t tag = slot.last >> 56;
        if (tag <= largest_slot_bytes) {
            to.data_.insert(to.data_.end(), element, element + tag);
            return true;
        }
        const std::uint64_t bytes = slot.last & blob_length_mask;
        if (tag != blob_outside >> 56 || bytes > bytes_left || slot.first < in.header().data_offset)
            return false;
        const auto* block = in.find<std::byte>(slot.first, bytes);
        if (block == nullptr) return false;
        bytes_left -= bytes;
        to.data_.insert(to.data_.end(), block, block + bytes);
        return true;
    }
};

bool object_contents::is_missing(std::uint64_t i) const {
    return i >= count_ || (i < missing_.size() && missing_[static_cast<std::size_t>(i)]);
}

bool object_contents::is_damaged(std::uint64_t i) const {
    return is_missing(i) || !decoder_->fits(bytes(i));
}

void object_contents::append_text(std::string& to, std::uint64_t i) const {
    if (is_missing(i)) to += '?';
    else decoder_->append_text(to, bytes(i));
}

element_value object_contents::value(std::uint64_t i) const {
    return is_missing(i) ? element_value{std::monostate{}} : decoder_->decode(bytes(i));
}

std::span<const std::byte> object_contents::bytes(std::uint64_t i) const {
    if (is_missing(i)) return {};
    const auto at = static_cast<std::size_t>(i);
    if (ends_.empty())
        return std::span(data_).subspan(static_cast<std::size_t>(i * stride_),
                                        static_cast<std::size_t>(stride_));
    const std::size_t begin = i == 0 ? 0 : static_cast<std::size_t>(ends_[at - 1]);
    return std::span(data_).subspan(begin, static_cast<std::size_t>(ends_[at]) - begin);
}

namespace {

// Elements of one root. False when it has gone; `problem` says what is wrong with it.
bool read_contents(const source& from, std::uint32_t link, std::uint64_t generation, std::uint64_t first,
                   std::uint64_t count, object_contents& contents, bool& has_no_type, std::string& problem) {
    return read_root(from, link, generation, contents.notes, [&](image& at, root_slot& seen) {
        problem.clear();
        contents_access::clear(contents);
        contents.kind = kind_name(static_cast<object_kind>(seen.kind));
        contents.type = type_of(at, seen, has_no_type);
        if (has_no_type) problem = "the name of its type lies outside";
        if (has_parts(seen)) return;
        if (is_keyed(seen)) {
            const dict_node* keyed = dict_node_in(at, seen);
            if (keyed == nullptr) problem = "its node makes no sense";
            else contents_access::copy_keyed(at, seen, *keyed, first, count, contents);
            return;
        }
        if (is_queue(seen)) {
            const queue_node* queue = queue_node_in(at, seen);
            if (queue == nullptr) problem = "its node makes no sense";
            else contents_access::copy_queue(at, seen, *queue, first, count, contents);
            return;
        }
        if (is_channel(seen)) {
            if (!contents_access::copy_channel(at, seen, first, count, contents))
                problem = "its node makes no sense";
            return;
        }
        if (is_synchronisation(static_cast<object_kind>(seen.kind))) {
            if (auto state = state_in(at, seen))
                contents_access::set_state(*std::move(state), first, count, contents);
            else problem = "its node makes no sense";
            return;
        }
        const auto kind = static_cast<object_kind>(seen.kind);
        if (kind == object_kind::array) {
            if (const array_node* node = array_in(at, seen))
                contents_access::copy_array(at, *node, first, count, contents);
            else problem = "its node makes no sense";
            return;
        }
        if (kind != object_kind::list && kind != object_kind::value) {
            problem = "it is of no known kind";
            return;
        }
        if (auto word = kind == object_kind::value ? cell_in(at, seen, contents.type) : std::nullopt) {
            contents_access::set_state(*std::move(word), first, count, contents);
            return;
        }
        const list_node* node = kind == object_kind::list ? node_in(at, seen.node) : element_in(at, seen);
        if (node == nullptr) problem = "its node makes no sense";
        else contents_access::copy_list(at, *node, first, count, contents);
    });
}

// Elements of the parts of the root `link`, one part after the other; as read_contents().
bool read_parts(const source& from, const root_slot& whole, std::uint32_t link, std::uint64_t first,
                std::uint64_t count, object_contents& contents, bool& has_no_type, std::string& problem) {
    const std::optional<std::vector<std::uint32_t>> links = parts_now(from, whole, link);
    if (!links) return false;
    if (links->empty()) problem = "its node makes no sense";
    for (std::size_t i = 0; i < links->size(); ++i) {
        object_contents part;
        std::string problem_of_part;
        bool part_has_no_type = false;
        const std::uint64_t behind = first - std::min(first, contents.size);
        if (!read_contents(from, (*links)[i], whole.generation, behind, count - contents.count(), part,
                           part_has_no_type, problem_of_part))
            return false;
        has_no_type = has_no_type || part_has_no_type;
        if (!problem_of_part.empty()) problem = "shard " + std::to_string(i) + ": " + problem_of_part;
        for (const std::string& note : part.notes)
            contents.notes.push_back("shard " + std::to_string(i) + ": " + note);
        contents_access::append(contents, std::move(part));
    }
    contents.first = std::min(first, contents.size);
    return true;
}

}  // namespace

object_contents inspection::contents(std::string_view name, std::uint64_t first, std::uint64_t count) const {
    const source& from = state_->from;
    image in(from);
    bool is_whole = false;
    for (const std::uint32_t link : all_slots(in, is_whole)) {
        const root_slot* slot = in.slot(link);
        if (slot == nullptr || !is_visible(*slot) || slot->part_of != 0 || name_of(*slot) != name) continue;
        object_contents contents;
        bool is_damaged = false;
        std::string problem;
        bool is_there =
            read_contents(from, link, slot->generation, first, count, contents, is_damaged, problem);
        if (is_there && has_parts(*slot))
            is_there = read_parts(from, *slot, link, first, count, contents, is_damaged, problem);
        if (!is_there) break;
        if (problem.empty()) return contents;
        if (contents.count() == 0 || !is_damaged) {
            throw corrupt_segment("read of " + contents.kind + " '" + std::string(name) + "' in " +
                                  from.what + ": damaged: " + problem + "; look at it with `shmctl verify`");
        }
        contents.notes.push_back("damaged: " + problem);
        return contents;
    }
    throw no_such_object("read of '" + std::string(name) + "' in " + from.what + ": no such object");
}

}  // namespace cairn::inline CAIRN_ABI

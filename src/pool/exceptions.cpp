// SPDX-License-Identifier: BSL-1.0
#include "pool/exceptions.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>

#include <cxxabi.h>

#include "base/never_destroyed.hpp"
#include "process/bounded_text.hpp"
#include "process/describe_exception.hpp"
#include <cairn/detail/base/words.hpp>
#include <cairn/detail/pool/sent_future.hpp>
#include <cairn/error.hpp>
#include <cairn/exception.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

enum class error_category : std::uint64_t { none = 0, generic = 1, system = 2 };

struct exception_header {
    std::int64_t code;
    error_category category;
    std::uint64_t type_bytes;
    std::uint64_t name_bytes;
    std::uint64_t text_bytes;
};

struct carried {
    std::string_view text;
    std::error_code code;
    std::span<const std::byte> extra;
};

// What worker_died has beside its text.
struct carried_death {
    std::int32_t pid;
    std::int32_t code;
    std::int32_t attempts;
    std::int32_t worker_id;
    std::uint32_t likely_oom;
};

template <typename E>
std::exception_ptr from_text(const carried& from) {
    return std::make_exception_ptr(E(std::string(from.text)));
}

template <typename E>
std::exception_ptr from_nothing(const carried& /*from*/) {
    return std::make_exception_ptr(E());
}

template <typename E>
std::exception_ptr from_text_and_code(const carried& from) {
    return std::make_exception_ptr(E(std::string(from.text), from.code));
}

std::exception_ptr worker_died_from(const carried& from) {
    carried_death how{};
    if (from.extra.size() != sizeof how) return from_text_and_code<worker_died>(from);
    std::memcpy(&how, from.extra.data(), sizeof how);
    return std::make_exception_ptr(worker_died(std::string(from.text), {.pid = how.pid,
                                                                        .code = how.code,
                                                                        .attempts = how.attempts,
                                                                        .worker_id = how.worker_id,
                                                                        .likely_oom = how.likely_oom != 0}));
}

// Its what() is "text: what the code says".
std::exception_ptr system_error_from(const carried& from) {
    const std::string message = from.code.message();
    std::string_view text = from.text;
    if (text == message) return std::make_exception_ptr(std::system_error(from.code));
    if (text.ends_with(": " + message)) text.remove_suffix(message.size() + 2);
    return std::make_exception_ptr(std::system_error(from.code, std::string(text)));
}

struct known_type {
    const std::type_info* type;
    std::exception_ptr (*make)(const carried& from);
};

const known_type known_types[] = {
    {&typeid(std::runtime_error), from_text<std::runtime_error>},
    {&typeid(std::logic_error), from_text<std::logic_error>},
    {&typeid(std::invalid_argument), from_text<std::invalid_argument>},
    {&typeid(std::out_of_range), from_text<std::out_of_range>},
    {&typeid(std::domain_error), from_text<std::domain_error>},
    {&typeid(std::length_error), from_text<std::length_error>},
    {&typeid(std::range_error), from_text<std::range_error>},
    {&typeid(std::overflow_error), from_text<std::overflow_error>},
    {&typeid(std::underflow_error), from_text<std::underflow_error>},
    {&typeid(std::system_error), system_error_from},
    {&typeid(std::bad_alloc), from_nothing<std::bad_alloc>},
    {&typeid(std::bad_array_new_length), from_nothing<std::bad_array_new_length>},
    {&typeid(std::bad_cast), from_nothing<std::bad_cast>},
    {&typeid(std::bad_typeid), from_nothing<std::bad_typeid>},
    {&typeid(std::bad_optional_access), from_nothing<std::bad_optional_access>},
    {&typeid(std::bad_function_call), from_nothing<std::bad_function_call>},
    {&typeid(std::bad_variant_access), from_nothing<std::bad_variant_access>},
    {&typeid(std::bad_weak_ptr), from_nothing<std::bad_weak_ptr>},
    {&typeid(std::bad_exception), from_nothing<std::bad_exception>},
    {&typeid(std::exception), from_nothing<std::exception>},
    {&typeid(worker_died), worker_died_from},
    {&typeid(error), from_text_and_code<error>},
    {&typeid(segment_exists), from_text_and_code<segment_exists>},
    {&typeid(no_such_segment), from_text_and_code<no_such_segment>},
    {&typeid(no_such_object), from_text_and_code<no_such_object>},
    {&typeid(type_mismatch), from_text_and_code<type_mismatch>},
    {&typeid(version_mismatch), from_text_and_code<version_mismatch>},
    {&typeid(corrupt_segment), from_text_and_code<corrupt_segment>},
    {&typeid(permission_denied), from_text_and_code<permission_denied>},
    {&typeid(segment_full), from_text_and_code<segment_full>},
    {&typeid(object_gone), from_text_and_code<object_gone>},
    {&typeid(object_poisoned), from_text_and_code<object_poisoned>},
    {&typeid(refused), from_text_and_code<refused>},
    {&typeid(index_error), from_text_and_code<index_error>},
    {&typeid(key_error), from_text_and_code<key_error>},
    {&typeid(invalid_name), from_text_and_code<invalid_name>},
    {&typeid(invalid_argument), from_text_and_code<invalid_argument>},
    {&typeid(invalid_state), from_text_and_code<invalid_state>},
    {&typeid(would_deadlock), from_text_and_code<would_deadlock>},
    {&typeid(queue_closed), from_text_and_code<queue_closed>},
    {&typeid(timeout_error), from_text_and_code<timeout_error>},
    {&typeid(broken_barrier), from_text_and_code<broken_barrier>},
    {&typeid(cancelled_error), from_text_and_code<cancelled_error>},
    {&typeid(rejected_submission), from_text_and_code<rejected_submission>},
    {&typeid(initializer_failed), from_text_and_code<initializer_failed>},
    {&typeid(system_failure), from_text_and_code<system_failure>},
};

constinit never_destroyed<std::mutex> registered_mutex;
constinit never_destroyed<std::vector<exception_type>> registered;

std::optional<exception_type> find_registered(std::string_view name) {
    const std::lock_guard held(registered_mutex.get());
    for (const exception_type& each : registered.get())
        if (each.type->name() == name) return each;
    return std::nullopt;
}

const known_type* find_known(std::string_view name) noexcept {
    for (const known_type& each : known_types)
        if (each.type->name() == name) return &each;
    return nullptr;
}

template <typename T>
void append(std::vector<std::byte>& to, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), bytes, bytes + sizeof value);
}

void append_text(std::vector<std::byte>& to, std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    to.insert(to.end(), bytes, bytes + text.size());
}

std::error_code code_of(const exception_header& header) noexcept {
    switch (header.category) {
        case error_category::generic: return {static_cast<int>(header.code), std::generic_category()};
        case error_category::system: return {static_cast<int>(header.code), std::system_category()};
        case error_category::none: break;
    }
    return {};
}

}  // namespace

bool register_exception(const exception_type& type) {
    const std::lock_guard held(registered_mutex.get());
    auto& all = registered.get();
    if (std::none_of(all.begin(), all.end(), [&](const exception_type& e) { return *e.type == *type.type; }))
        all.push_back(type);
    return true;
}

// The type travels by the name that the compiler gives it, which is the same in a process that runs the same program; a remote_error
// shows the one that people write.
encoded_exception::encoded_exception() {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    if (type == nullptr) throw;  // the end of the thread
    std::array<char, 512> type_room;
    std::array<char, 4096> text_room;
    bounded_text written(type_room.data(), type_room.size());
    bounded_text text(text_room.data(), text_room.size());
    describe_current_exception(written, text);
    exception_header header{0, error_category::none, 0, 0, 0};
    const auto set_code = [&header](const std::error_code& code) {
        header.code = code.value();
        if (code.category() == std::generic_category()) header.category = error_category::generic;
        if (code.category() == std::system_category()) header.category = error_category::system;
    };
    std::string type_name = type->name();
    std::string name(written.view());
    std::string whole(text.view());
    std::vector<std::byte> extra;
    try {
        throw;
    } catch (const remote_error& thrown) {
        // As it came from elsewhere, so it goes on.
        type_name.clear();
        name = thrown.type_name();
        whole = thrown.text();
    } catch (const std::exception& thrown) {
        std::optional<exception_type> own = find_registered(type_name);
        try {
            if (own) extra = own->encode(thrown);
        } catch (const std::exception&) {
            // Its codec cannot: type and text arrive.
            own.reset();
            type_name.clear();
        }
        if (const auto* system = dynamic_cast<const std::system_error*>(&thrown)) {
            set_code(system->code());
            // Of a category of the program's own: the code means nothing elsewhere.
            if (header.category == error_category::none && !own) type_name.clear();
        }
        if (const auto* ours = dynamic_cast<const error*>(&thrown)) set_code(ours->code());
        if (!own && typeid(thrown) == typeid(worker_died)) {
            const auto& death = static_cast<const worker_died&>(thrown);
            append(extra, carried_death{death.pid(), death.exitcode(), death.attempts(), death.worker_id(),
                                        death.likely_oom() ? 1U : 0U});
        }
        if (own || find_known(type_name) != nullptr) whole = thrown.what() != nullptr ? thrown.what() : "";
    } catch (...) {
        // Of no class that could be rebuilt.
        type_name.clear();
    }
    header.type_bytes = type_name.size();
    header.name_bytes = name.size();
    header.text_bytes = whole.size();
    append(bytes_, header);
    append_text(bytes_, type_name);
    append_text(bytes_, name);
    append_text(bytes_, whole);
    bytes_.insert(bytes_.end(), extra.begin(), extra.end());
}

std::exception_ptr decode_exception(std::span<const std::byte> bytes) {
    exception_header header{};
    std::vector<std::byte> all(bytes.size());
    if (!bytes.empty()) copy_out(all.data(), bytes.data(), bytes.size());
    const auto broken = [] {
        return std::make_exception_ptr(corrupt_segment("result of a task: its exception makes no sense"));
    };
    if (all.size() < sizeof header) return broken();
    std::memcpy(&header, all.data(), sizeof header);
    std::size_t left = all.size() - sizeof header;
    const char* at = reinterpret_cast<const char*>(all.data()) + sizeof header;
    std::string_view texts[3];
    const std::uint64_t sizes[3] = {header.type_bytes, header.name_bytes, header.text_bytes};
    for (std::size_t i = 0; i < 3; ++i) {
        if (sizes[i] > left) return broken();
        texts[i] = std::string_view(at, sizes[i]);
        at += sizes[i];
        left -= sizes[i];
    }
    const std::string_view type = texts[0];
    const std::string_view name = texts[1];
    const std::string_view text = texts[2];
    const std::span<const std::byte> extra = std::span(all).last(left);
    if (const std::optional<exception_type> own = find_registered(type);
        own && (own->is_text || !extra.empty())) {
        try {
            return own->decode(own->is_text ? std::as_bytes(std::span(text.data(), text.size())) : extra);
        } catch (...) {
            return std::current_exception();
        }
    }
    if (const known_type* const known = find_known(type); known != nullptr)
        return known->make({text, code_of(header), extra});
    return std::make_exception_ptr(remote_error(std::string(name), std::string(text)));
}

std::string encode_failure(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const encoded_exception encoded;
        return {reinterpret_cast<const char*>(encoded.bytes().data()), encoded.bytes().size()};
    }
}

std::exception_ptr decode_failure(std::span<const std::byte> bytes) {
    return decode_exception(bytes);
}

void throw_not_done() {
    throw invalid_argument(
        "pass a future to a task: it is not done; pass its result(), or have the task follow it by then()");
}

}  // namespace cairn::inline CAIRN_ABI::detail

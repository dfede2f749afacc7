// exception.hpp - exceptions that arrive as what they are in the process that waits for the result.
//
// What a task in another process throws arrives as the same type where it is one of the standard library's or Cairn's, or registered here;
// else as cairn::remote_error, which has its type's name and its text.
//
//   struct out_of_paper : std::runtime_error { using std::runtime_error::runtime_error; };
//   CAIRN_EXCEPTION(out_of_paper)                       // at namespace scope, where the type is known by this name
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <exception>
#include <span>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// How one type of exception travels.
struct exception_type {
    const std::type_info* type;
    std::vector<std::byte> (*encode)(const std::exception& thrown);
    std::exception_ptr (*decode)(std::span<const std::byte> bytes);
    bool is_text;  // it is encoded by its what()
};

/// Before main, as a rule. Thread-safe. The first of a type stays.
CAIRN_API bool register_exception(const exception_type& type);

template <typename E>
struct registered_exception {
    static_assert(std::is_base_of_v<std::exception, E>,
                  "cairn: CAIRN_EXCEPTION is for types derived from std::exception");
    static_assert(
        codable<E> || std::is_constructible_v<E, const std::string&>,
        "cairn: CAIRN_EXCEPTION needs a type that can be made from a std::string, its what(), or that has "
        "a cairn::codec");

    static bool now() {
        return register_exception({&typeid(E),
                                   [](const std::exception& thrown) {
                                       std::vector<std::byte> bytes;
                                       if constexpr (!codable<E>) {
                                           const std::string text = thrown.what();
                                           bytes.resize(text.size());
                                           codec<std::string>::encode(text, bytes.data());
                                       } else {
                                           const E& value = dynamic_cast<const E&>(thrown);
                                           bytes.resize(codec<E>::size(value));
                                           codec<E>::encode(value, bytes.data());
                                       }
                                       return bytes;
                                   },
                                   [](std::span<const std::byte> bytes) {
                                       if constexpr (!codable<E>)
                                           return std::make_exception_ptr(
                                               E(codec<std::string>::decode(bytes)));
                                       else return std::make_exception_ptr(codec<E>::decode(bytes));
                                   },
                                   !codable<E>});
    }
};

}  // namespace cairn::inline CAIRN_ABI::detail

#define CAIRN_DETAIL_JOIN_(a, b) a##b
#define CAIRN_DETAIL_JOIN(a, b) CAIRN_DETAIL_JOIN_(a, b)

/// Lets exceptions of that very type travel between processes: by their codec (CAIRN_FIELDS) if they have one, else by their what().
#define CAIRN_EXCEPTION(type)                                                                                \
    [[maybe_unused]] static const bool CAIRN_DETAIL_JOIN(cairn_exception_, __COUNTER__) =                    \
        ::cairn::detail::registered_exception<type>::now();

// namespace.hpp - cairn::ns: values of any types under names, which processes share (multiprocessing's Namespace).
//
//   auto n = m.ns("settings");                       // find or create
//   n.set("limit", 5);                               // a name may get a value of another type
//   n.set("title", "none yet");                      // a std::string
//   int limit = n.get<int>("limit");
//   n.update<int>("limit", [](int& v) { v *= 2; });  // as one
//   std::cout << n;                                  // Namespace(limit=10, title='none yet')
//
// Stored        a dict (detail/containers/dict_layout.hpp): name to the value's type, its text and its bytes.
// Handle        a ns is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the root's lock; readers take none.
// Commit        the root's log. Death: before it nothing happened, after it it has.
//
// Cost          as of a dict of strings to strings; the text of a value is made when it is set. Where all values have one type, a dict is
//               faster, and where there is one value, a cairn::value.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. In callbacks of other
//               operations all are would_deadlock, but in transactions of this one. All throw object_gone when it is removed.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <cstring>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/dict.hpp>
#include <cairn/fields.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

/// A value of a namespace.
struct named_value {
    std::string type;   // "int32"
    std::string text;   // as repr() prints it
    std::string bytes;  // as its codec encodes it
};
CAIRN_FIELDS(named_value, type, text, bytes)

/// What a value is stored as: a string literal as a string.
template <typename T>
using stored_type =
    std::conditional_t<std::is_convertible_v<const T&, std::string_view> && !std::is_same_v<T, std::string>,
                       std::string, T>;

template <typename T>
named_value name_value(const T& value) {
    named_value named{codec<T>::type_name(), {}, {}};
    append_element(named.text, value);
    named.bytes.resize(codec<T>::size(value));
    codec<T>::encode(value, reinterpret_cast<std::byte*>(named.bytes.data()));
    return named;
}

}  // namespace detail

class CAIRN_API ns : public detail::object_handle {
    using values = dict<std::string, detail::named_value>;

public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::name_space;

    /// Stores a copy of `value` under that name, whatever was there. @throws segment_full  nothing happened
    template <typename T>
    void set(std::string_view name, const T& value) const {
        values_.set(name, stored(value));
    }
    /// The same once, however often it is tried (once_id.hpp). Whether it was now.
    template <typename T>
    bool set(std::string_view name, const T& value, const exactly_once& how) const {
        return values_.set(name, stored(value), how);
    }
    /// A copy of the value of that name.
    /// @throws key_error  there is none; type_mismatch  it is of another type: names both
    template <typename T>
    [[nodiscard]] T get(std::string_view name) const {
        std::optional<T> found = find<T>(name);
        if (!found) throw_missing("get from", name);
        return *std::move(found);
    }
    /// ... or `otherwise` where there is none. @throws type_mismatch
    template <typename T>
    [[nodiscard]] T get(std::string_view name, T otherwise) const {
        std::optional<T> found = find<T>(name);
        return found ? *std::move(found) : std::move(otherwise);
    }
    /// ... or nothing. @throws type_mismatch
    template <typename T>
    [[nodiscard]] std::optional<T> find(std::string_view name) const {
        static_assert(detail::require_element<T>());
        const std::optional<detail::named_value> found = values_.get(name);
        if (!found) return std::nullopt;
        return decoded<T>(name, *found);
    }
    /// Calls fn on a copy of the value of that name (T{} where there is none) under the lock, and stores it: what fn left in its T&
    /// argument, or what it returned, if it returns a T. If fn throws, nothing happened.
    /// @throws type_mismatch, segment_full, whatever fn throws; inside fn any use of Cairn is would_deadlock
    template <typename T, typename Fn>
        requires std::invocable<Fn, T&>
    void update(std::string_view name, Fn&& fn) const {
        static_assert(detail::require_element<T>());
        values_.update(name, [&](detail::named_value& named) {
            T value = named.type.empty() ? T{} : decoded<T>(name, named);
            if constexpr (std::is_same_v<std::remove_cvref_t<std::invoke_result_t<Fn, T&>>, T>)
                value = detail::call_with(std::forward<Fn>(fn), value);
            else detail::call_with(std::forward<Fn>(fn), value);
            named = detail::name_value(value);
        });
    }
    /// "int32": of the value of that name. @throws key_error
    [[nodiscard]] std::string type_of(std::string_view name) const;
    /// False when there was none. Needs no memory.
    bool erase(std::string_view name) const { return values_.erase(name); }
    bool erase(std::string_view name, const exactly_once& how) const { return values_.erase(name, how); }
    /// Removes everything. Needs no memory.
    void clear() const { values_.clear(); }
    [[nodiscard]] bool contains(std::string_view name) const { return values_.contains(name); }
    [[nodiscard]] std::size_t size() const { return values_.size(); }
    [[nodiscard]] bool empty() const { return values_.empty(); }
    /// In the order in which they were set first.
    [[nodiscard]] std::vector<std::string> names() const { return values_.keys(); }

    /// Calls fn(ns&), and makes all that is done inside to this one one change. See list::transaction.
    template <std::invocable<ns&> Fn>
    std::invoke_result_t<Fn, ns&> transaction(Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), std::forward<Fn>(fn));
    }
    template <std::invocable<ns&> Fn>
    detail::once_result<std::invoke_result_t<Fn, ns&>> transaction(const exactly_once& how, Fn&& fn) const {
        this->require_writable();
        return detail::call_in_transaction(*this, in(), slot(), generation(), how.once, std::forward<Fn>(fn));
    }

    /// "Namespace(limit=10, title='none yet')"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const ns& n) {
        n.write_to(to);
        return to;
    }
    friend bool operator==(const ns& a, const ns& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit ns(detail::root_reference root) : object_handle(root), values_(std::move(root)) {}
    static std::string type_name() { return values::type_name(); }
    static void validate(const detail::segment& s, detail::segment_offset node) { values::validate(s, node); }
    static detail::segment_offset create(detail::root_transaction& tx) { return values::create(tx); }

private:
    template <typename T>
    static detail::named_value stored(const T& value) {
        using type = detail::stored_type<T>;
        static_assert(detail::require_element<type>());
        if constexpr (std::is_same_v<type, T>) return detail::name_value(value);
        else return detail::name_value(type(std::string_view(value)));
    }
    template <typename T>
    T decoded(std::string_view name, const detail::named_value& named) const {
        if (named.type != codec<T>::type_name()) throw_mismatch(name, named.type, codec<T>::type_name());
        return codec<T>::decode(std::as_bytes(std::span(named.bytes)));
    }
    [[noreturn]] CAIRN_COLD void throw_missing(const char* operation, std::string_view name) const;
    [[noreturn]] CAIRN_COLD void throw_mismatch(std::string_view name, const std::string& found,
                                                const std::string& wanted) const;
    void write_to(std::ostream& to) const;

    values values_;
};

}  // namespace cairn::inline CAIRN_ABI

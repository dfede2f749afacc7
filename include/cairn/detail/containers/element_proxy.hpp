// element_proxy.hpp - what l[i] is: refers to an element, reads it when asked, changes it atomically.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>

#include <cairn/detail/codec/equal.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename U>
concept proxy_type = requires { typename U::is_cairn_proxy; };

/// Reads on conversion, comparison and printing; assignment, compound assignment, ++ and -- are one atomic operation
/// each. Keeps a copy of the container's handle, so it may outlive the expression.
template <typename Container, typename Key, typename T>
class element_proxy {
public:
    using value_type = T;
    using is_cairn_proxy = void;

    element_proxy(Container container, Key key) : container_(std::move(container)), key_(std::move(key)) {}
    element_proxy(const element_proxy&) = default;
    element_proxy(element_proxy&&) noexcept = default;
    ~element_proxy() = default;

    /// A copy of the element now.
    [[nodiscard]] T get() const { return container_.at(key_); }
    operator T() const {
        return get();
    }  // NOLINT(google-explicit-constructor): a proxy converts, that is its purpose

    const element_proxy& operator=(const T& value) const {
        container_.set(key_, value);
        return *this;
    }
    // NOLINTNEXTLINE(misc-unconventional-assign-operator): assigns through, as a reference does
    const element_proxy& operator=(const element_proxy& other) const { return *this = other.get(); }
    const element_proxy& operator=(const element_proxy& other) { return *this = other.get(); }  // NOLINT
    const element_proxy& operator=(element_proxy&& other) { return *this = other.get(); }       // NOLINT

    template <typename U>
    const element_proxy& operator+=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v += value; });
    }
    template <typename U>
    const element_proxy& operator-=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v -= value; });
    }
    template <typename U>
    const element_proxy& operator*=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v *= value; });
    }
    template <typename U>
    const element_proxy& operator/=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v /= value; });
    }
    template <typename U>
    const element_proxy& operator%=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v %= value; });
    }
    template <typename U>
    const element_proxy& operator&=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v &= value; });
    }
    template <typename U>
    const element_proxy& operator|=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v |= value; });
    }
    template <typename U>
    const element_proxy& operator^=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v ^= value; });
    }
    template <typename U>
    const element_proxy& operator<<=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v <<= value; });
    }
    template <typename U>
    const element_proxy& operator>>=(const U& by) const {
        const auto& value = read(by);
        return change([&](T& v) { v >>= value; });
    }
    const element_proxy& operator++() const {
        return change([](T& v) { ++v; });
    }
    const element_proxy& operator--() const {
        return change([](T& v) { --v; });
    }
    /// The value before.
    T operator++(int) const {
        return change_and_keep([](T& v) { ++v; });
    }
    T operator--(int) const {
        return change_and_keep([](T& v) { --v; });
    }

    friend bool operator==(const element_proxy& a, const element_proxy& b)
        requires equatable<T>
    {
        return equal_elements(a.get(), b.get());
    }
    void append_repr_to(std::string& text) const { append_element(text, get()); }
    friend std::ostream& operator<<(std::ostream& to, const element_proxy& p) {
        write(to, repr(p.get()));
        return to;
    }

private:
    // Before the lock is taken: under it nobody can read another element.
    template <typename U>
    static decltype(auto) read(const U& by) {
        if constexpr (proxy_type<U>) return by.get();
        else return (by);
    }
    template <typename Fn>
    const element_proxy& change(Fn fn) const {
        container_.update(key_, [&](T& value) { fn(value); });
        return *this;
    }
    template <typename Fn>
    T change_and_keep(Fn fn) const {
        std::optional<T> before;
        container_.update(key_, [&](T& value) {
            before.emplace(value);
            fn(value);
        });
        return *std::move(before);  // NOLINT(bugprone-unchecked-optional-access): update() has called it
    }

    Container container_;
    Key key_;
};

// Not friends: those would ask whether T compares with a U that has a proxy inside (an expression of a test framework), for
// which the compiler looks at those friends again. Here it is first asked whether the left side is a proxy at all.
template <proxy_type Proxy, typename U>
    requires(!proxy_type<U>) && compares_with<typename Proxy::value_type, U>
bool operator==(const Proxy& a, const U& b) {
    return element_equality()(a.get(), b);
}
template <proxy_type Proxy, typename U>
    requires(!proxy_type<U>) && requires(const typename Proxy::value_type& t, const U& u) { t <=> u; }
auto operator<=>(const Proxy& a, const U& b) {
    return a.get() <=> b;
}

}  // namespace cairn::inline CAIRN_ABI::detail

// cereal.hpp - types that cereal can serialize as elements.
//
//   namespace app {
//   struct job {
//       int id = 0;
//       std::vector<std::string> tags;
//       template <typename Archive> void serialize(Archive& archive) { archive(id, tags); }
//   };
//   }
//   template <>
//   struct cairn::codec<app::job> : cairn::cereal_codec<app::job, "job"> {};
//
// Stored        as cereal's binary archive writes it. The type is called "cereal:job"; the bytes do not say what they are, so
//               that shmctl prints them as bytes.
// Needs         a default constructor, <cereal/types/...> for what the type has, and ==, where the list is searched.
// Hostile bytes are corrupt_segment: unlike cereal's own archive, this one looks at the sizes of containers before they
//               are made. A size is at most the number of bytes that are left, so items must have a byte.
// Limits        2000 levels deep, as cereal counts them: a struct, what is in it, a pointer, what it points to.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

#include <cereal/cereal.hpp>

#include <cairn/codec.hpp>
#include <cairn/detail/codec/name_literal.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

/// cereal recurses as deep as values, or bytes, tell it to.
constexpr int most_nested_cereal = 2000;

/// Writes to memory, or, without any, only counts.
class cereal_output : public cereal::OutputArchive<cereal_output, cereal::AllowEmptyClassElision> {
public:
    explicit cereal_output(std::byte* to) : OutputArchive(this), to_(to) {}

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    void write(const void* from, std::size_t bytes) {
        if (to_ != nullptr && bytes != 0) std::memcpy(to_ + count_, from, bytes);
        count_ += bytes;
    }
    void enter() {
        if (++depth_ > most_nested_cereal)
            throw invalid_argument("encode a type of cereal: it is nested deeper than " +
                                   std::to_string(most_nested_cereal) + " levels");
    }
    void leave() noexcept { --depth_; }

private:
    std::byte* to_;
    std::size_t count_ = 0;
    int depth_ = 0;
};

class cereal_input : public cereal::InputArchive<cereal_input, cereal::AllowEmptyClassElision> {
public:
    explicit cereal_input(std::span<const std::byte> from) : InputArchive(this), rest_(from) {}

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    void read(void* to, std::size_t bytes) {
        if (bytes > rest_.size()) throw cereal::Exception("the bytes end too early");
        if (bytes != 0) std::memcpy(to, rest_.data(), bytes);
        rest_ = rest_.subspan(bytes);
    }
    /// A container will be made as large as that.
    void require_items(std::uint64_t count) const {
        if (count > rest_.size()) throw cereal::Exception("more items than bytes");
    }
    void enter() {
        if (++depth_ > most_nested_cereal) throw cereal::Exception("nested too deeply");
    }
    void leave() noexcept { --depth_; }

private:
    std::span<const std::byte> rest_;
    int depth_ = 0;
};

// What cereal finds by the namespace of its archives, under the names that its macros give. It calls the first two before
// and after each value.

template <typename T>
void prologue(cereal_output& archive, const T&) {
    archive.enter();
}
template <typename T>
void prologue(cereal_input& archive, const T&) {
    archive.enter();
}
template <typename T>
void epilogue(cereal_output& archive, const T&) {
    archive.leave();
}
template <typename T>
void epilogue(cereal_input& archive, const T&) {
    archive.leave();
}

template <typename T>
    requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_output& archive, const T& value) {
    archive.write(std::addressof(value), sizeof value);
}

template <typename T>
    requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_input& archive, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        unsigned char byte = 0;
        archive.read(&byte, 1);
        value = byte != 0;  // any other byte in a bool would be undefined behaviour
    } else {
        archive.read(std::addressof(value), sizeof value);
    }
}

template <typename T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_output& archive, const cereal::BinaryData<T>& data) {
    archive.write(data.data, static_cast<std::size_t>(data.size));
}

template <typename T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_input& archive, cereal::BinaryData<T>& data) {
    archive.read(data.data, static_cast<std::size_t>(data.size));
}

template <typename Archive, typename T>
    requires std::is_same_v<Archive, cereal_input> || std::is_same_v<Archive, cereal_output>
void CEREAL_SERIALIZE_FUNCTION_NAME(Archive& archive, cereal::NameValuePair<T>& pair) {
    archive(pair.value);
}

template <typename Archive, typename T>
    requires std::is_same_v<Archive, cereal_input> || std::is_same_v<Archive, cereal_output>
void CEREAL_SERIALIZE_FUNCTION_NAME(Archive& archive, cereal::SizeTag<T>& tag) {
    archive(tag.size);
    if constexpr (std::is_same_v<Archive, cereal_input>)
        archive.require_items(static_cast<std::uint64_t>(tag.size));
}

}  // namespace detail

/// The codec of a type that cereal can serialize; `Name` is what other programs know it by.
template <typename T, detail::name_literal Name>
struct cereal_codec {
    static std::string type_name() { return "cereal:" + std::string(Name.text()); }
    /// @throws invalid_argument  nested too deeply
    static std::size_t size(const T& value) {
        detail::cereal_output archive(nullptr);
        archive(value);
        return archive.count();
    }
    static void encode(const T& value, std::byte* to) {
        detail::cereal_output archive(to);
        archive(value);
    }
    static T decode(std::span<const std::byte> bytes) {
        T value{};
        detail::cereal_input archive(bytes);
        try {
            archive(value);
        } catch (const cereal::Exception&) {
            detail::throw_undecodable(type_name(), bytes.size());
        }
        if (!archive.at_end()) detail::throw_undecodable(type_name(), bytes.size());
        return value;
    }
};

}  // namespace cairn::inline CAIRN_ABI

// For pointers to polymorphic types.
CEREAL_REGISTER_ARCHIVE(cairn::detail::cereal_output)
CEREAL_REGISTER_ARCHIVE(cairn::detail::cereal_input)
CEREAL_SETUP_ARCHIVE_TRAITS(cairn::detail::cereal_input, cairn::detail::cereal_output)

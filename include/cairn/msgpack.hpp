// msgpack.hpp - types with MSGPACK_DEFINE (msgpack-c, the C++ one) as elements.
//
//   namespace app {
//   struct job {
//       int id = 0;
//       std::vector<std::string> tags;
//       MSGPACK_DEFINE_MAP(id, tags)
//   };
//   }
//   template <>
//   struct cairn::codec<app::job> : cairn::msgpack_codec<app::job, "job"> {};
//
// Stored        as MessagePack. The type is called "msgpack:job"; shmctl prints what is in it: {'id': 1, 'tags': ['a']}.
//               msgpack-c writes a double that is whole as an integer, so that 2.0 prints as 2.
// Needs         a default constructor, and ==, where the list is searched. What a type of another version wrote is decoded
//               as msgpack-c does it: change the name when that makes no sense.
// Limits        512 levels deep.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <typeinfo>

#include <msgpack.hpp>

#include <cairn/codec.hpp>
#include <cairn/detail/codec/msgpack.hpp>
#include <cairn/detail/codec/name_literal.hpp>

namespace cairn::inline CAIRN_ABI {

/// The codec of a type that msgpack-c can pack and convert to; `Name` is what other programs know it by.
template <typename T, detail::name_literal Name>
struct msgpack_codec {
    static std::string type_name() { return "msgpack:" + std::string(Name.text()); }
    /// @throws invalid_argument  nested too deeply
    static std::size_t size(const T& value) {
        msgpack::sbuffer bytes;
        msgpack::pack(bytes, value);
        detail::require_msgpack(Name.characters.data(), std::as_bytes(std::span(bytes.data(), bytes.size())));
        return bytes.size();
    }
    static void encode(const T& value, std::byte* to) {
        writer bytes{to};
        msgpack::pack(bytes, value);
    }
    static T decode(std::span<const std::byte> bytes) {
        // Before msgpack-c, which makes room for as many items as the bytes say that there are.
        if (!detail::is_msgpack(bytes)) detail::throw_undecodable(type_name(), bytes.size());
        try {
            const msgpack::object_handle handle =
                msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            return handle.get().template as<T>();
        } catch (const std::bad_cast&) {  // msgpack::type_error
            detail::throw_undecodable(type_name(), bytes.size());
        } catch (const msgpack::unpack_error&) {
            detail::throw_undecodable(type_name(), bytes.size());
        }
    }
    static void append_repr(std::string& to, const T& value) {
        msgpack::sbuffer bytes;
        msgpack::pack(bytes, value);
        detail::append_msgpack_repr(to, std::as_bytes(std::span(bytes.data(), bytes.size())));
    }

private:
    // What msgpack-c packs into.
    struct writer {
        std::byte* to;
        void write(const char* from, std::size_t bytes) {
            std::memcpy(to, from, bytes);
            to += bytes;
        }
    };
};

}  // namespace cairn::inline CAIRN_ABI

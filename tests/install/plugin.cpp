// plugin.cpp - what two_copies.cpp and load_late.cpp load: with the library shared, or with a copy of its own.
// SPDX-License-Identifier: BSL-1.0
#include <exception>
#include <string>

#include <cairn/cairn.hpp>

#define PLUGIN_API extern "C" __attribute__((visibility("default")))

namespace {

// Nothing of the library's leaves: the program may have another one.
template <typename Action>
const char* text_of(const Action& action) {
    static std::string text;
    try {
        action();
        text = "done";
    } catch (const cairn::would_deadlock& e) {
        text = std::string("would_deadlock: ") + e.what();
    } catch (const std::exception& e) {
        text = e.what();
    }
    return text.c_str();
}

}  // namespace

PLUGIN_API const void* plugin_state() {
    return &cairn::detail::this_thread;
}

PLUGIN_API const char* plugin_append(const char* segment, long value) {
    return text_of([&] { cairn::manager::open(segment).list<long>("l").append(value); });
}

PLUGIN_API const char* plugin_transaction(const char* segment, void (*inside)()) {
    return text_of([&] {
        cairn::manager::open(segment).list<long>("l").transaction([&](auto& tx) {
            tx.append(20);
            inside();
            tx.append(40);
        });
    });
}

PLUGIN_API void plugin_throw() {
    throw cairn::key_error("thrown by a plugin");
}

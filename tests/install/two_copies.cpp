// two_copies.cpp - a program with the shared library, a plugin that uses the same one, and one with a copy of its own.
//
// usage: two_copies SHARED_PLUGIN STATIC_PLUGIN
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cairn/cairn.hpp>

namespace {

void require(bool condition, const std::string& what) {
    if (condition) return;
    std::fprintf(stderr, "not so: %s\n", what.c_str());
    std::_Exit(1);
}

struct plugin {
    void* handle;
    explicit plugin(const char* path, int mode) : handle(::dlopen(path, RTLD_NOW | mode)) {
        require(handle != nullptr,
                std::string("the plugin is loaded: ") + (handle == nullptr ? ::dlerror() : ""));
    }
    template <typename Function>
    [[nodiscard]] Function* get(const char* name) const {
        return reinterpret_cast<Function*>(::dlsym(handle, name));
    }
    [[nodiscard]] const void* state() const { return get<const void*()>("plugin_state")(); }
    [[nodiscard]] std::string append(const std::string& segment, long value) const {
        return get<const char*(const char*, long)>("plugin_append")(segment.c_str(), value);
    }
    [[nodiscard]] std::string transaction(const std::string& segment, void (*inside)()) const {
        return get<const char*(const char*, void (*)())>("plugin_transaction")(segment.c_str(), inside);
    }
    [[nodiscard]] bool throws_our_type() const {
        try {
            get<void()>("plugin_throw")();
        } catch (const cairn::error&) {
            return true;
        } catch (const std::exception&) {}
        return false;
    }
};

std::string inside_text;
const cairn::list<long>* inside_list = nullptr;

void append_inside() {
    try {
        inside_list->append(30);
        inside_text = "done";
    } catch (const cairn::would_deadlock& e) {
        inside_text = e.what();
    }
}

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

void use(const plugin& p, bool is_copy) {
    const std::string name = "two-copies-" + std::to_string(::getpid()) + (is_copy ? "-copy" : "-shared");
    const cairn::manager m{name};
    const auto l = m.list<long>("l");
    l.append(1);

    require((p.state() != &cairn::detail::this_thread) == is_copy,
            "a copy has a state of its own, and nothing else has");
    require(p.throws_our_type() != is_copy, "a copy has exceptions of its own, and nothing else has");

    require(p.append(name, 2) == "done", "both work on one object");
    require(cairn::repr(l) == "[1, 2]", "both have appended: " + cairn::repr(l));

    // One inside the other, in one thread.
    std::string text;
    l.transaction([&](auto& tx) {
        tx.append(3);
        text = p.append(name, 99);
        tx.append(4);
    });
    require(contains(text, "would_deadlock"), "the plugin is refused in the program's transaction: " + text);
    require(contains(text, "another copy of Cairn") == is_copy, "and told why: " + text);
    require(cairn::repr(l) == "[1, 2, 3, 4]", "the program's transaction is whole: " + cairn::repr(l));

    // What the same copy does on the same object is a part of it.
    inside_list = &l;
    require(p.transaction(name, append_inside) == "done", "the plugin's transaction ends well");
    require((inside_text == "done") != is_copy, "another copy is refused in it: " + inside_text);
    require(contains(inside_text, "another copy of Cairn") == is_copy, "and told why: " + inside_text);
    const std::string so_far = is_copy ? "[1, 2, 3, 4, 20, 40" : "[1, 2, 3, 4, 20, 30, 40";
    require(cairn::repr(l) == so_far + "]", "the plugin's transaction is whole: " + cairn::repr(l));

    require(p.append(name, 5) == "done", "the plugin is not stuck");
    l.append(6);
    require(cairn::repr(l) == so_far + ", 5, 6]", "nor is the program: " + cairn::repr(l));
}

}  // namespace

int main(int, char** argv) {
    // Each in a process of its own: what is loaded stays.
    for (const int mode : {RTLD_LOCAL, RTLD_GLOBAL}) {
        for (const bool copy_first : {false, true}) {
            const pid_t child = ::fork();
            if (child == 0) {
                ::alarm(60);
                const plugin first(argv[copy_first ? 2 : 1], mode);
                const plugin second(argv[copy_first ? 1 : 2], mode);
                use(first, copy_first);
                use(second, !copy_first);
                ::_exit(0);
            }
            int status = 1;
            ::waitpid(child, &status, 0);
            if (status != 0) return 1;
        }
    }
}

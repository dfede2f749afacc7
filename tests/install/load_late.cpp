// load_late.cpp - loads the library when other libraries have taken nearly all static TLS that the C library sets aside for
// those that come late.
//
// usage: load_late TLS_BLOCK PLUGIN
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int most_blocks = 200;
constexpr int blocks_left = 3;  // of 64 bytes

// Loads copies of the block up to `most`, and says how many that were.
int load_blocks(const std::filesystem::path& folder, int most) {
    for (int i = 0; i < most; ++i)
        if (::dlopen((folder / (std::to_string(i) + ".so")).c_str(), RTLD_NOW) == nullptr) return i;
    return most;
}

int in_child(int (*body)(const std::filesystem::path&, const char*, int), const std::filesystem::path& folder,
             const char* plugin, int count) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body(folder, plugin, count));
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int count_blocks(const std::filesystem::path& folder, const char*, int) {
    return load_blocks(folder, most_blocks);
}

int load_plugin(const std::filesystem::path& folder, const char* path, int count) {
    if (load_blocks(folder, count) != count) return 1;
    void* const plugin = ::dlopen(path, RTLD_NOW);
    if (plugin == nullptr) {
        std::fprintf(stderr, "with %d blocks of 64 bytes left: %s\n", blocks_left, ::dlerror());
        return 2;
    }
    // And works: nothing but the text of an error comes back for a segment that there is not.
    using append = const char* (*)(const char*, long);
    const std::string text = reinterpret_cast<append>(::dlsym(plugin, "plugin_append"))("no-such-segment", 1);
    if (text.find("no such segment") != std::string::npos) return 0;
    std::fprintf(stderr, "the plugin says: %s\n", text.c_str());
    return 3;
}

}  // namespace

int main(int, char** argv) {
    char name[] = "/tmp/cairn-tls-XXXXXX";
    const std::filesystem::path folder = ::mkdtemp(name);
    for (int i = 0; i < most_blocks; ++i)
        std::filesystem::copy_file(argv[1], folder / (std::to_string(i) + ".so"));
    const int count = in_child(count_blocks, folder, argv[2], 0);
    int result = 1;
    if (count > blocks_left && count < most_blocks) {
        result = in_child(load_plugin, folder, argv[2], count - blocks_left);
        std::printf("%d blocks of 64 bytes fit, and the library beside %d of them\n", count,
                    count - blocks_left);
    } else {
        std::fprintf(stderr, "%d blocks of 64 bytes were loaded: this test looks at the wrong thing\n",
                     count);
    }
    std::filesystem::remove_all(folder);
    return result;
}

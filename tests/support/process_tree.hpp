// process_tree.hpp - the processes below one, as /proc shows them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace cairn_test {

inline std::string name_of_process(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    std::getline(file, name);
    return name;
}

/// But for those that a sanitizer starts to look up names for its reports: they stay as long as the process does.
inline std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> all;
    const std::string tasks =
        "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children";
    std::ifstream file(tasks);
    for (pid_t child = 0; file >> child;) {
        const std::string name = name_of_process(child);
        if (name != "llvm-symbolizer" && name != "addr2line") all.push_back(child);
    }
    return all;
}

/// Children, their children, and so on.
inline std::vector<pid_t> descendants_of(pid_t parent) {
    std::vector<pid_t> all = children_of(parent);
    for (std::size_t i = 0; i < all.size(); ++i)
        for (const pid_t child : children_of(all[i])) all.push_back(child);
    return all;
}

/// What ps shows as its command line; arguments have spaces between them.
inline std::string title_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
    std::string text;
    std::getline(file, text, '\xff');  // it may go away meanwhile
    while (!text.empty() && text.back() == '\0') text.pop_back();
    for (char& c : text)
        if (c == '\0') c = ' ';
    return text;
}

/// The letter of its state in /proc: R, S, T, Z and others. 0 when there is no such process.
inline char state_of_process(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t at = text.rfind(')');
    return at != std::string::npos && at + 2 < text.size() ? text[at + 2] : '\0';
}

/// Neither gone nor a zombie.
inline bool is_running(pid_t process) {
    const char state = state_of_process(process);
    return state != '\0' && state != 'Z' && state != 'X';
}

/// By SIGSTOP or the like.
inline bool is_stopped(pid_t process) {
    return state_of_process(process) == 'T';
}

/// False when they still run after that time.
inline bool have_ended(const std::vector<pid_t>& all, std::chrono::milliseconds longest) {
    const auto until = std::chrono::steady_clock::now() + longest;
    for (const pid_t each : all)
        while (is_running(each)) {
            if (std::chrono::steady_clock::now() > until) {
                std::fprintf(stderr, "still runs: %d (%s)\n", static_cast<int>(each),
                             name_of_process(each).c_str());
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    return true;
}

/// Those descendants of this process that are a pool's own: guardians, nurseries, workers.
inline std::vector<pid_t> pool_processes() {
    std::vector<pid_t> all = descendants_of(::getpid());
    std::erase_if(all, [](pid_t each) { return !name_of_process(each).starts_with("cairn-"); });
    return all;
}

/// Of the first descendant of that name; 0 when there is none.
inline pid_t find_descendant(pid_t parent, const std::string& name) {
    for (const pid_t each : descendants_of(parent))
        if (name_of_process(each) == name) return each;
    return 0;
}

}  // namespace cairn_test

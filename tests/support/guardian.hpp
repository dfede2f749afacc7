// guardian.hpp - what a test program has made in file systems, and its processes, are gone when the program is, however it
// ends: a run that is over its time gets SIGKILL, and no destructor runs.
//
// The guardian is a process in a session of its own, so that what ends the test does not end it. Each scratch path is told
// to it when it is made and when it is gone. When the test program has ended, it kills whatever processes of it are left,
// then removes the paths that are left. A process belongs to the program when it has the program's end of the socket, which
// all forked ones inherit, or is in the session that the program leads, as `meson test` starts it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace cairn_test {

/// Starts the guardian of this process; called by main().
void start_guardian();

/// From here on the guardian removes this file or directory, if the test does not. Only below /dev/shm and the folder for
/// temporary files.
void guard_path(const std::string& path);
/// It is gone.
void unguard_path(const std::string& path);

}  // namespace cairn_test

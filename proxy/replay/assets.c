#include "proxy/replay/assets.h"

/* CMakeLists.txt says where the files lie, and that this one depends on them. */
#define FILE_IN(name, path)                                                                            \
    __asm__(".section .rodata\n.global cs_replay_" #name "\n.global cs_replay_" #name "_end\n"         \
            "cs_replay_" #name ":\n.incbin \"proxy/replay/web/" path "\"\n"                            \
            "cs_replay_" #name "_end:\n.byte 0\n.previous\n");                                         \
    extern const unsigned char cs_replay_##name[], cs_replay_##name##_end[];                           \
    struct slice asset_##name(void)                                                                    \
    {                                                                                                  \
        return slice_of(cs_replay_##name, (size_t)(cs_replay_##name##_end - cs_replay_##name));        \
    }

FILE_IN(viewer_html, "viewer.html")
FILE_IN(viewer_css, "viewer.css")
FILE_IN(viewer_js, "viewer.js")
FILE_IN(timeline_js, "timeline.js")
FILE_IN(inside_js, "inside.js")
FILE_IN(player_html, "player.html")
FILE_IN(player_css, "player.css")
FILE_IN(player_js, "player.js")

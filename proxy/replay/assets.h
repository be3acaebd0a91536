/* assets: the files of web/, copied into the program by the assembler. */
#ifndef COUNTERSIGN_REPLAY_ASSETS_H
#define COUNTERSIGN_REPLAY_ASSETS_H

#include "proxy/base/slice.h"

struct slice asset_viewer_html(void);
struct slice asset_viewer_css(void);
struct slice asset_viewer_js(void);
struct slice asset_timeline_js(void);
struct slice asset_inside_js(void);
struct slice asset_player_html(void);
struct slice asset_player_css(void);
struct slice asset_player_js(void);

#endif

#include "engine/config.h"

#include <string>

#include "engine/check_options.h"
#include "ops/soft_nms.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

using Triple = std::array<float, 3>;

bool normalised(const DetectOptions& options, const Triple& mean, const Triple& std, bool to_rgb) {
  return options.normalisation.mean == mean && options.normalisation.std == std && options.normalisation.to_rgb == to_rgb;
}

const Registration older("config: mmdetection 2.x's text", [] {
  const auto [settings, num_classes, num_stacks, num_feat_levels, corner_emb_channels] = parse_config(R"(
# what counts is the test pipeline
img_norm_cfg = dict(mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True)
model = dict(
    type='CornerNet',
    backbone=dict(type='HourglassNet', downsample_times=5, num_stacks=2, stage_channels=[256, 256, 384, 384, 384, 512]),
    neck=None,
    bbox_head=dict(type='CornerHead', num_classes=80, in_channels=256, num_feat_levels=2, corner_emb_channels=1,
        loss_heatmap=dict(type='GaussianFocalLoss', alpha=2.0, gamma=4.0, loss_weight=1)),
    test_cfg=dict(corner_topk=100, local_maximum_kernel=3, distance_threshold=0.25, score_thr=0.05, max_per_img=50,
        nms=dict(type='soft_nms', iou_threshold=0.5, method='linear')))
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True),
    dict(type='MultiScaleFlipAug', scale_factor=1.0, flip=True, transforms=[
        dict(type='Resize'),
        dict(type='RandomCenterCropPad', crop_size=None, ratios=None, test_mode=True, test_pad_mode=['logical_or', 127], mean=[0, 0, 0]),
        dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=False),
    ])
]
)");
  check(normalised(settings, {123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}, false), "the normalisation is another");
  check(settings.decode.corner_topk == 100 && settings.decode.local_maximum_kernel == 3 && settings.decode.distance_threshold == 0.25f &&
            settings.nms.max_per_image == 50,
        "the test settings are others");
  check(settings.nms.method == SoftNmsMethod::Linear && settings.nms.iou_threshold == 0.5f && settings.nms.sigma == 0.5f, "soft-NMS is another");
  check(num_classes == 80 && num_stacks == 2 && num_feat_levels == 2 && corner_emb_channels == 1, "the network is another");
  check(settings.flip && parse_config("").options.flip && parse_config("test_pipeline = [dict(type='MultiScaleFlipAug', flip=True)]").options.flip,
        "the mirrored view is lost");
  check(!parse_config("test_pipeline = [dict(type='MultiScaleFlipAug', flip=False)]").options.flip &&
            !parse_config("test_pipeline = [dict(type='PackDetInputs')]").options.flip,
        "a mirrored view that nobody states");
});

const Registration unexpanded("config: a pipeline that only names its normalisation", [] {
  const DetectOptions settings =
      parse_config(
          "img_norm_cfg = dict(\n    mean=[1.5, 2, 3e0], std=(4, 5, 6), to_rgb=False)\ntest_pipeline = [dict(type='Normalize', **img_norm_cfg)]\n")
          .options;
  check(normalised(settings, {1.5f, 2, 3}, {4, 5, 6}, false), "the normalisation is lost");
});

const Registration newer("config: mmdetection 3.x's text", [] {
  const DetectOptions settings = parse_config(R"(
data_preprocessor = dict(bgr_to_rgb=False, mean=[1, 2, 3], std=[58.395, 57.12, 57.375], type='DetDataPreprocessor')
test_cfg = dict(type='TestLoop')
model = dict(test_cfg={'corner_topk': 50, 'max_per_img': 20, 'nms': dict(type='soft_nms', sigma=0.25, min_score=.01)})
)")
                                     .options;
  check(normalised(settings, {1, 2, 3}, {58.395f, 57.12f, 57.375f}, false), "the normalisation is lost");
  check(settings.decode.corner_topk == 50 && settings.nms.max_per_image == 20 && settings.decode.distance_threshold == 0.5f,
        "the test settings are others");
  // What mmcv's soft_nms does when its configuration is silent.
  check(settings.nms.method == SoftNmsMethod::Linear && settings.nms.sigma == 0.25f && settings.nms.min_score == 0.01f &&
            settings.nms.iou_threshold == 0.3f,
        "soft-NMS is another");
});

const Registration plain_nms("config: mmcv's plain nms keeps what overlaps by just its threshold, and any score", [] {
  const SoftNmsOptions options = parse_config("test_cfg = dict(corner_topk=9, nms=dict(type='nms', iou_threshold=0.5))").options.nms;
  const auto kept = soft_nms({{0, 0, 10, 10, 0.9f, 0}, {0, 0, 10, 5, 1e-5f, 0}, {0, 0, 10, 5.01f, 0.5f, 0}}, options);
  check(kept.size() == 2 && kept[1].score == 1e-5f, kept.size(), " boxes are kept");
  const DetectOptions none = parse_config("test_cfg = dict(corner_topk=9, nms=dict(type='nms', iou_threshold=1.0))").options;
  check_stated(none, "a file");
  check(soft_nms({{0, 0, 10, 10, 0.9f, 0}, {0, 0, 10, 10, 0.5f, 0}}, none.nms).size() == 2, "a threshold of 1 drops a box");
});

const Registration silent("config: what says nothing, or nothing readable, leaves the published settings", [] {
  for (const char* text : {"", "a = 1", "model = dict()", "mean = [1, 2, 3]", "img_norm_cfg = dict(mean=[1, 2], std='x', to_rgb=1)",
                           "test_cfg = dict(corner_topk=1.5, max_per_img='9', nms=dict(type='other', sigma='9'))"}) {
    const StatedConfig stated = parse_config(text);
    check(normalised(stated.options, {123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}, true), text);
    check(stated.options.decode.corner_topk == 100 && stated.options.nms.max_per_image == 100, text);
    check(stated.options.nms.method == SoftNmsMethod::Gaussian && stated.options.nms.sigma == 0.5f && !stated.num_classes, text);
  }
});

const Registration garbage("config: garbage and endless nesting are passed over", [] {
  const std::string deep(200'000, '[');
  for (const std::string& text :
       {deep, "a = " + deep, "a = dict(" + std::string(100'000, '{'), std::string("a = 'unclosed"), std::string("a = dict(b='c"),
        std::string("a = dict(=,=)"), std::string("\\"), std::string("a = 1e99999"), std::string("a = \"\"\""), std::string("= = ="),
        std::string("a=[1,,,]]]]"), std::string("a = [1, }"), std::string("a = dict(b=]"), std::string("a = {'b': ([1)}]")}) {
    parse_config(text);
  }
  const DetectOptions after =
      parse_config("x = f(1, [2], 'a)') + g\nimg_norm_cfg = dict(mean=[1, 2, 3], other=lambda x: (x, 1), std=[4, 5, 6])\n").options;
  check(normalised(after, {1, 2, 3}, {4, 5, 6}, true), "what follows garbage is lost");
});

const Registration commas("config: a text of nothing but commas takes little memory", [] {
  for (const char* const opening : {"a = [", "a = dict(", ""}) {
    const std::string text = opening + std::string(size_t{16} << 20, ',');
    const long growth = peak_growth([&] { parse_config(text); });
    check(growth < 64'000'000, "16 MB of commas behind ", opening, " took ", growth, " bytes");
  }
});

}  // namespace

#include "train/config_text.h"

#include <iomanip>
#include <locale>
#include <sstream>

namespace cornernet::train {
namespace {

/// The shortest text that reads as the same number. Without std::to_chars, which prebuilt addons' oldest systems lack.
std::string text(float number) {
  std::string shortest;
  for (int digits = 1; digits <= 9; ++digits) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << std::setprecision(digits) << number;
    shortest = out.str();
    float read = 0;
    std::istringstream in(shortest);
    in.imbue(std::locale::classic());
    if (in >> read && read == number) break;
  }
  return shortest;
}

template <typename Numbers>
std::string list(const Numbers& numbers) {
  std::ostringstream out;
  for (size_t i = 0; i < numbers.size(); ++i) {
    out << (i ? ", " : "[");
    if constexpr (std::is_same_v<typename Numbers::value_type, float>) {
      out << text(numbers[i]);
    } else {
      out << numbers[i];
    }
  }
  out << ']';
  return out.str();
}

/// As a Python literal.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
    } else {
      if (c == '\\' || c == '\'') out += '\\';
      out += c;
    }
  }
  return out + "'";
}

const char* python(bool value) { return value ? "True" : "False"; }

std::string nms_text(const SoftNmsOptions& nms) {
  const std::string method = nms.method == SoftNmsMethod::Naive ? "naive" : nms.method == SoftNmsMethod::Linear ? "linear" : "gaussian";
  return "dict(type='soft_nms', iou_threshold=" + text(nms.iou_threshold) + ", sigma=" + text(nms.sigma) + ", min_score=" + text(nms.min_score) +
         ", method='" + method + "')";
}

}  // namespace

std::string config_text(const CornerNetConfig& config, const DetectOptions& options, const std::vector<std::string>& classes) {
  const std::string normalised = "mean=" + list(options.normalisation.mean) + ", std=" + list(options.normalisation.std);
  const auto& [backbone, head] = config;
  std::ostringstream out;
  out << "model = dict(\n"
      << "    type='CornerNet',\n"
      << "    data_preprocessor=dict(\n"
      << "        type='DetDataPreprocessor',\n"
      << "        mean=" << list(options.normalisation.mean) << ",\n"
      << "        std=" << list(options.normalisation.std) << ",\n"
      << "        bgr_to_rgb=" << python(options.normalisation.to_rgb) << "),\n"
      << "    backbone=dict(\n"
      << "        type='HourglassNet',\n"
      << "        downsample_times=" << backbone.stage_channels.size() - 1 << ",\n"
      << "        num_stacks=" << backbone.num_stacks << ",\n"
      << "        stage_channels=" << list(backbone.stage_channels) << ",\n"
      << "        stage_blocks=" << list(backbone.stage_blocks) << ",\n"
      << "        feat_channel=" << backbone.feat_channels << ",\n"
      << "        norm_cfg=dict(type='BN', requires_grad=True)),\n"
      << "    neck=None,\n"
      << "    bbox_head=dict(\n"
      << "        type='CornerHead',\n"
      << "        num_classes=" << head.num_classes << ",\n"
      << "        in_channels=" << head.in_channels << ",\n"
      << "        num_feat_levels=" << head.num_levels << ",\n"
      << "        corner_emb_channels=1,\n"
      << "        loss_heatmap=dict(type='GaussianFocalLoss', alpha=2.0, gamma=4.0, loss_weight=1),\n"
      << "        loss_embedding=dict(type='AssociativeEmbeddingLoss', pull_weight=0.10, push_weight=0.10),\n"
      << "        loss_offset=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1)),\n"
      << "    train_cfg=None,\n"
      << "    test_cfg=dict(\n"
      << "        corner_topk=" << options.decode.corner_topk << ",\n"
      << "        local_maximum_kernel=" << options.decode.local_maximum_kernel << ",\n"
      << "        distance_threshold=" << text(options.decode.distance_threshold) << ",\n"
      << "        score_thr=0.05,\n"
      << "        max_per_img=" << options.nms.max_per_image << ",\n"
      << "        nms=" << nms_text(options.nms) << "))\n"
      << "test_pipeline = [\n"
      << "    dict(type='LoadImageFromFile', to_float32=True),\n"
      << "    dict(type='RandomCenterCropPad', crop_size=None, ratios=None, border=None, test_mode=True, test_pad_mode=['logical_or', 127], "
      << normalised << ", to_rgb=" << python(options.normalisation.to_rgb) << "),\n"
      << "    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'border'))]\n"
      << "test_dataloader = dict(\n"
      << "    dataset=dict(type='CocoDataset', ann_file='', data_prefix=dict(img=''), test_mode=True, metainfo=dict(classes=(";
  for (const std::string& name : classes) out << quoted(name) << ", ";
  out << ")), pipeline=test_pipeline))\n";
  return out.str();
}

}  // namespace cornernet::train

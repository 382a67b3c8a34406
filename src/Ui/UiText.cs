namespace Gongzhi.Ui;

/// <summary>Marks the product's sentences: <c>UiText.resx</c> (English, the neutral language) and <c>UiText.zh-CN.resx</c>.</summary>
public sealed class UiText;

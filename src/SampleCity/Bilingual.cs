namespace Gongzhi.SampleCity;

/// <summary>A text in English and in Chinese (zh-CN).</summary>
public readonly record struct Bilingual(string En, string Zh);

namespace Gongzhi.SampleCity;

/// <summary>A column of a sample dataset; its title and type come from the element it is bound to.</summary>
/// <param name="Name">The name of the column.</param>
/// <param name="Element">Id of a <see cref="SampleElement"/>.</param>
public sealed record SampleField(string Name, string Element)
{
    /// <summary>Digits after the decimal point, for numbers.</summary>
    public int? Scale { get; init; }
    public bool Required { get; init; } = true;
    public bool Unique { get; init; }

    /// <summary>In the units of the field.</summary>
    public long? Minimum { get; init; }
    public long? Maximum { get; init; }
    public int? MaxLength { get; init; }
    public string? Pattern { get; init; }
}

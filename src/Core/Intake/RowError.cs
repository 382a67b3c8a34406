using System.Globalization;
using System.Text.Json.Serialization;

namespace Gongzhi.Core.Intake;

/// <summary>Why one row was not accepted. The value itself is never repeated: error lists are read by people who may not see it.</summary>
/// <param name="Row">1-based data row of the file.</param>
/// <param name="Field">The field, or null when the row as a whole is at fault.</param>
/// <param name="Code">Stable: <c>type</c>, <c>required</c>, <c>range</c>, <c>length</c>, <c>pattern</c>, <c>enum</c>, <c>place</c>, <c>time</c>, <c>scale</c>, <c>inexact</c>, <c>text</c>, <c>duplicate</c>, <c>columns</c>, <c>recordId</c>, …</param>
/// <param name="Why">What is wrong, in both languages.</param>
public sealed record RowError(long Row, string? Field, string Code, [property: JsonIgnore] Sentence Why)
{
    /// <summary>One plain sentence in the language of the request that is being answered.</summary>
    public string Message => Why.In(CultureInfo.CurrentUICulture);
}

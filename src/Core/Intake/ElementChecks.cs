using Gongzhi.Core.Catalog.ElementTypes;

namespace Gongzhi.Core.Intake;

/// <summary>The checks a field's <c>elementType</c> names.</summary>
public static class ElementChecks
{
    public static ElementCheck? Find(string elementType) => elementType switch
    {
        "identity-number" => text => IdentityNumber.TryValidate(text, out var fault) ? null : fault.English(),
        "unified-credit-code" => text => UnifiedCreditCode.TryValidate(text, out var fault) ? null : fault.English(),
        _ => null,
    };
}

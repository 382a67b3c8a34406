using Gongzhi.Core.Catalog.ElementTypes;

namespace Gongzhi.Core.Intake;

/// <summary>The checks a field's <c>elementType</c> names.</summary>
public static class ElementChecks
{
    public static ElementCheck? Find(string elementType) => elementType switch
    {
        "identity-number" => (text, today) => IdentityNumber.TryValidate(text, out var fault, today) ? ElementFault.None : fault,
        "unified-credit-code" => (text, _) => UnifiedCreditCode.TryValidate(text, out var fault) ? ElementFault.None : fault,
        _ => null,
    };
}

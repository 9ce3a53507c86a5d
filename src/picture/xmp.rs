//! The XMP packet that carries settings (ISO 16684-1): one property in a namespace of our own, which tools that
//! show XMP show too.

const OPEN: &str = "<impasto:settings>";
const CLOSE: &str = "</impasto:settings>";
/// What XML wants escaped in text; `&` comes first, and last on the way back.
const ESCAPES: [(&str, &str); 3] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")];

/// The packet.
pub(super) fn packet(settings: &str) -> Vec<u8> {
    let escape = |text: String, (plain, escaped): &(&str, &str)| text.replace(plain, escaped);
    let settings = ESCAPES.iter().fold(settings.to_owned(), escape);
    format!(
        "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:impasto=\"urn:impasto#\">\
         {OPEN}{settings}{CLOSE}\
         </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>"
    )
    .into_bytes()
}

/// The settings in a packet, if they are there.
pub(super) fn settings(packet: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(packet).ok()?;
    let (_, text) = text.split_once(OPEN)?;
    let (text, _) = text.split_once(CLOSE)?;
    let plain = |text: String, (plain, escaped): &(&str, &str)| text.replace(escaped, plain);
    Some(ESCAPES.iter().rev().fold(text.to_owned(), plain))
}
